using System.CommandLine;
using System.Text.Json.Nodes;
using VDiskCrypt.Core;
using VDiskCrypt.Fuse;

namespace VDiskCrypt.Cli;

/// <summary>`unmount`: flush, detach, and wait until the image is closed.</summary>
internal sealed class UnmountCommand
{
    /// <summary>How long writing out what is still in memory may take before the command stops waiting for it.</summary>
    private const int EndTimeoutMs = 300_000;

    private readonly Argument<string> _target = new("DIR|IMAGE") { Description = "the mount point, or the image that is mounted" };
    private readonly Option<bool> _lazy = new("--lazy") { Description = "detach now, and close when the last open file is closed" };

    public static Command Build()
    {
        var command = new Command("unmount", """
            write everything out and detach a mount
            Example: vdiskcrypt unmount ./secret
            """);
        var unmount = new UnmountCommand();
        command.Arguments.Add(unmount._target);
        command.Options.Add(unmount._lazy);
        command.SetBody(unmount.Run);
        return command;
    }

    private void Run(ParseResult parsed, Report report)
    {
        string target = parsed.GetRequiredValue(_target);
        bool lazy = parsed.GetValue(_lazy);
        using ControlClient? client = ControlClient.Find(target);
        string mountPoint = client?.State.Request.MountPoint ?? Path.TrimEndingDirectorySeparator(Path.GetFullPath(target));
        FuseMounts.Unmount(mountPoint, lazy);
        if (client is not null && !lazy)
        {
            MountEnd end = client.WaitForEnd(EndTimeoutMs) ?? throw new VDiskException(
                FailureKind.InputOutput, "the daemon is still writing", client.State.Request.LogPath, "wait for it; do not touch the image");
            if (end.Failure is not null)
            {
                throw new VDiskException(FailureKind.InputOutput, $"not everything could be written: {end.Failure}",
                    client.State.Request.Image, $"see {client.State.Request.LogPath}");
            }
        }

        report.Result(new JsonObject { ["mountPoint"] = mountPoint, ["lazy"] = lazy }, []);
    }
}
