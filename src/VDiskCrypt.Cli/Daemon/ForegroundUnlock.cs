using System.Diagnostics;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.Win32.SafeHandles;
using VDiskCrypt.Core;

namespace VDiskCrypt.Cli;

/// <summary>
/// For `mount --foreground`, where the command's own process serves the mount: the same command line runs once more in
/// a child that talks to the KEK and the user, hands the volume key over, and exits, so that the serving process has
/// never held another secret.
/// </summary>
internal static class ForegroundUnlock
{
    private const string Marker = "VDISKCRYPT_UNLOCK_CHILD";

    public static bool IsThisProcess => Environment.GetEnvironmentVariable(Marker) is not null;

    /// <summary>The child's side: the outcome goes to standard output.</summary>
    public static void Hand(Func<UnlockedVolume> unlock)
    {
        using var output = new FileStream(new SafeFileHandle(1, ownsHandle: false), FileAccess.Write, bufferSize: 0);
        using UnlockedVolume unlocked = unlock();
        using SecretMemory lines = SecretMemory.Take(Encoding.UTF8.GetBytes(string.Concat(unlocked.Lines.Select(line => line + "\n")) + "\n"));
        var answer = new UnlockAnswer { Notices = [.. unlocked.Notices] };
        KeyPipe.Write(output, JsonSerializer.Serialize(answer, UnlockJson.Default.UnlockAnswer), lines);
        KeyPipe.WriteKey(output, unlocked.Key);
    }

    /// <summary>The serving side. A child that failed has said why on standard error; its exit code becomes ours.</summary>
    public static UnlockedVolume InChild()
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardOutput = true };
        foreach (string argument in Environment.GetCommandLineArgs().Skip(1))
        {
            start.ArgumentList.Add(argument);
        }

        start.Environment[Marker] = "1";
        using Process child = Process.Start(start)
            ?? throw new VDiskException(FailureKind.Internal, "the unlocking process could not be started", Environment.ProcessPath);
        string? line = KeyPipe.ReadLine(child.StandardOutput.BaseStream);
        UnlockAnswer? answer = line is null ? null : JsonSerializer.Deserialize(line, UnlockJson.Default.UnlockAnswer);
        if (answer is null)
        {
            child.WaitForExit();
            Environment.Exit(child.ExitCode == 0 ? ExitCode.Internal : child.ExitCode);
        }

        PassOn(KeyPipe.ReadKey(child.StandardOutput.BaseStream));
        var unlocked = new UnlockedVolume(KeyPipe.ReadKey(child.StandardOutput.BaseStream));
        unlocked.Notices.AddRange(answer!.Notices);
        child.WaitForExit();
        return unlocked;
    }

    /// <summary>
    /// The lines of the result, a new recovery key among them, from secret memory to standard output: as texts they would
    /// stay on the heap of the serving process. An empty line ends them and is not shown.
    /// </summary>
    private static void PassOn(SecretMemory lines)
    {
        using (lines)
        {
            if (lines.ByteCount > 1)
            {
                using Stream output = StandardOutput.Open();
                output.Write(lines.Span[..^1]);
            }
        }
    }
}

/// <summary>What the unlocking child says beside the key.</summary>
internal sealed record UnlockAnswer
{
    public string[] Notices { get; init; } = [];
}

[JsonSerializable(typeof(UnlockAnswer))]
internal sealed partial class UnlockJson : JsonSerializerContext;
