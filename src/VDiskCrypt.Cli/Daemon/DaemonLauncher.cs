using System.Diagnostics;
using System.Text.Json;
using VDiskCrypt.Core;

namespace VDiskCrypt.Cli;

/// <summary>Starts the daemon of a mount, hands it the volume key, and waits until the mount is usable.</summary>
internal static class DaemonLauncher
{
    public static DaemonAnswer Start(MountRequest request, SecretMemory volumeKey)
    {
        HostProcess.CloseOthersOnExecute();
        var start = new ProcessStartInfo(Environment.ProcessPath!)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };
        start.ArgumentList.Add(DaemonEntry.Name);
        using Process daemon = Process.Start(start)
            ?? throw new VDiskException(FailureKind.Internal, "the daemon could not be started", Environment.ProcessPath);
        KeyPipe.Write(daemon.StandardInput.BaseStream, JsonSerializer.Serialize(request, DaemonJson.Default.MountRequest), volumeKey);
        string? line = KeyPipe.ReadLine(daemon.StandardOutput.BaseStream);
        DaemonAnswer? answer = line is null ? null : JsonSerializer.Deserialize(line, DaemonJson.Default.DaemonAnswer);
        if (answer is null)
        {
            throw new VDiskException(FailureKind.Internal, "the daemon ended before the mount was usable", request.LogPath, "see its log");
        }

        return answer.Ready ? answer : throw new VDiskException(
            Enum.Parse<FailureKind>(answer.FailureKind ?? nameof(FailureKind.Internal)),
            answer.What ?? "the mount failed", answer.Where, answer.Remedy);
    }
}
