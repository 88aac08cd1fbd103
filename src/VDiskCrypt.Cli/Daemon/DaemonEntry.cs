using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using VDiskCrypt.Core;

namespace VDiskCrypt.Cli;

/// <summary>
/// The daemon's process: started by <see cref="DaemonLauncher"/> with the request and the volume key on standard input,
/// it answers once on standard output. It never sees a passphrase or a KEK.
/// </summary>
internal static class DaemonEntry
{
    /// <summary>The hidden first argument that makes a process a daemon.</summary>
    public const string Name = "__daemon";

    public static int Run()
    {
        HostProcess.StartSession();
        Environment.CurrentDirectory = "/";
        using var input = new FileStream(new SafeFileHandle(0, ownsHandle: false), FileAccess.Read, bufferSize: 0);
        using var output = new FileStream(new SafeFileHandle(1, ownsHandle: false), FileAccess.Write, bufferSize: 0);
        string? line = KeyPipe.ReadLine(input);
        MountRequest? request = line is null ? null : JsonSerializer.Deserialize(line, DaemonJson.Default.MountRequest);
        if (request is null)
        {
            System.Console.Error.WriteLine("vdiskcrypt: this entry is for the command itself; use `vdiskcrypt mount`");
            return ExitCode.Usage;
        }

        bool answered = false;
        void Answer(DaemonAnswer answer)
        {
            answered = true;
            KeyPipe.Write(output, JsonSerializer.Serialize(answer, DaemonJson.Default.DaemonAnswer), key: null);
            using SafeFileHandle nothing = File.OpenHandle("/dev/null", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
            HostProcess.Redirect(0, nothing);
            HostProcess.Redirect(1, nothing);
        }

        try
        {
            OpenLog(request.LogPath);
            using SecretMemory key = KeyPipe.ReadKey(input);
            return MountDaemon.Run(request, key, notices => Answer(new DaemonAnswer { Ready = true, Notices = notices }));
        }
        catch (Exception error)
        {
            DaemonLog.Write(error is VDiskException ? error.Message : error.ToString());
            if (!answered)
            {
                var known = error as VDiskException;
                Answer(new DaemonAnswer
                {
                    FailureKind = (known?.Kind ?? FailureKind.Internal).ToString(),
                    What = error.Message,
                    Where = known?.Where,
                    Remedy = known?.Remedy,
                });
            }

            return ExitCode.Of((error as VDiskException)?.Kind ?? FailureKind.Internal);
        }
    }

    private static void OpenLog(string path)
    {
        try
        {
            if (File.Exists(path))
            {
                File.Move(path, path + ".old", overwrite: true);
            }

            using SafeFileHandle log = File.OpenHandle(path, FileMode.Create, FileAccess.Write, FileShare.ReadWrite);
            HostProcess.Redirect(2, log);
        }
        catch (Exception error) when (error is UnauthorizedAccessException or IOException and not VDiskException)
        {
            throw HostError.FromException(error, path);
        }
    }
}
