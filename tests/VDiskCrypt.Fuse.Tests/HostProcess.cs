using System.Diagnostics;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Fuse.Tests;

/// <summary>Who mounts and works on the mount.</summary>
public enum Mounter
{
    Root,

    /// <summary>A user without any capability.</summary>
    User,

    /// <summary>As <see cref="Root"/>, through io_uring.</summary>
    RootRing,

    /// <summary>As <see cref="User"/>, through io_uring.</summary>
    UserRing,
}

/// <summary>
/// The test host in a process of its own, with a filesystem in memory mounted on a scratch folder, as root or as an
/// ordinary user. Programs run by <see cref="Bash"/> run as the same user.
/// </summary>
internal sealed class HostProcess : IDisposable
{
    private const string UserName = "vdisktest";
    private const int ReadyTimeoutMs = 30_000;
    private static readonly Lazy<string> HostFolder = new(FindHost);

    private readonly ScratchFolder? _folder;
    private readonly Process _process;
    private readonly Mounter _mounter;

    private HostProcess(Mounter mounter, string mountPoint, ScratchFolder? folder, Process process, string ready)
    {
        _mounter = mounter;
        _folder = folder;
        _process = process;
        MountPoint = mountPoint;
        Ready = ready;
    }

    public string MountPoint { get; }

    /// <summary>The line that the host printed when it had mounted.</summary>
    public string Ready { get; }

    public int ProcessId => _process.Id;

    /// <summary>Skips the test where it cannot be run here at all.</summary>
    public static void Require(Mounter mounter)
    {
        Assert.SkipUnless(File.Exists("/dev/fuse"), "no /dev/fuse");
        if (IsRing(mounter))
        {
            KernelRings.Require();
        }

        if (!IsUser(mounter))
        {
            Assert.SkipUnless(Environment.IsPrivilegedProcess, "needs root");
            return;
        }

        ExternalTool.Require("fusermount3");
        if (Environment.IsPrivilegedProcess)
        {
            ExternalTool.Require("setpriv");
            ExternalTool.Require("useradd");

            // udev gives the device this mode; a machine without udev does not.
            ExternalTool.Bash($"chmod 666 /dev/fuse; id {UserName} >/dev/null 2>&1 || useradd -m {UserName}").Succeeded();
        }
    }

    public static HostProcess Start(Mounter mounter, params string[] options)
    {
        Require(mounter);
        var folder = new ScratchFolder();
        string mountPoint = folder["mount"];
        Directory.CreateDirectory(mountPoint);
        ExternalTool.Bash("chmod 755 \"$1\"", folder.FullPath).Succeeded();
        if (IsUser(mounter) && Environment.IsPrivilegedProcess)
        {
            ExternalTool.Bash($"chown {UserName} \"$1\"", mountPoint).Succeeded();
        }

        return Start(mounter, mountPoint, folder, options);
    }

    /// <summary>A second host, on a mount point that the test owns.</summary>
    public static HostProcess StartOn(Mounter mounter, string mountPoint, params string[] options) =>
        Start(mounter, mountPoint, null, options);

    /// <summary>A bash script as the mounter, in the mount's root: $M is the mount point, -e is set.</summary>
    public ToolResult Bash(string script, params string[] arguments) => RunAs(_mounter, MountPoint, script, arguments);

    public static ToolResult RunAs(Mounter mounter, string mountPoint, string script, params string[] arguments)
    {
        string[] command =
        [
            .. UserPrefix(mounter), "bash", "-c", $"set -eu; M='{mountPoint}'; cd /\n{script}", "bash", .. arguments,
        ];
        return ExternalTool.Run(command[0], command[1..], input: null, timeoutMs: 120_000);
    }

    public ToolResult Python(string script)
    {
        ExternalTool.Require("python3");
        string[] command = [.. UserPrefix(_mounter), "python3", "-c", "import os, sys, mmap, ctypes, errno, stat\nM = sys.argv[1]\n" + script, MountPoint];
        return ExternalTool.Run(command[0], command[1..], input: null, timeoutMs: 120_000);
    }

    /// <summary>Unmounts from outside and returns all that the host printed after READY.</summary>
    public string Stop()
    {
        Bash("cd /; if [ $(id -u) = 0 ]; then umount \"$M\"; else fusermount3 -u \"$M\"; fi").Succeeded();
        return WaitForExit();
    }

    public string WaitForExit()
    {
        Assert.True(_process.WaitForExit(ReadyTimeoutMs), "the host does not end after the mount has gone");
        string output = _process.StandardOutput.ReadToEnd();
        Assert.True(_process.ExitCode == 0, $"the host ended with {_process.ExitCode}: {output} {_process.StandardError.ReadToEnd()}");
        return output;
    }

    /// <summary>Kills the host, which leaves its mount behind.</summary>
    public void Kill()
    {
        _process.Kill();
        _process.WaitForExit();
    }

    /// <summary>Starts the host where it is expected to fail, and returns what it wrote to stderr.</summary>
    public static string StartFailing(Mounter mounter, string mountPoint, params string[] options)
    {
        using Process process = Launch(mounter, mountPoint, options);
        Assert.True(process.WaitForExit(ReadyTimeoutMs), "the host runs on");
        Assert.NotEqual(0, process.ExitCode);
        return process.StandardError.ReadToEnd();
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            RunAs(_mounter, MountPoint, "if [ $(id -u) = 0 ]; then umount -l \"$M\"; else fusermount3 -u -z \"$M\"; fi");
            if (!_process.WaitForExit(5_000))
            {
                _process.Kill();
            }
        }
        else
        {
            ExternalTool.Bash("umount -l \"$1\" 2>/dev/null || fusermount3 -u -z \"$1\" 2>/dev/null || true", MountPoint);
        }

        _process.Dispose();
        _folder?.Dispose();
    }

    private static bool IsUser(Mounter mounter) => mounter is Mounter.User or Mounter.UserRing;

    private static bool IsRing(Mounter mounter) => mounter is Mounter.RootRing or Mounter.UserRing;

    private static HostProcess Start(Mounter mounter, string mountPoint, ScratchFolder? folder, string[] options)
    {
        if (!IsRing(mounter))
        {
            return StartCore(mounter, mountPoint, folder, [.. options, "nouring"]);
        }

        HostProcess host = KernelRings.With(() => StartCore(mounter, mountPoint, folder, options));
        Assert.StartsWith("READY IoUring", host.Ready, StringComparison.Ordinal);
        return host;
    }

    private static HostProcess StartCore(Mounter mounter, string mountPoint, ScratchFolder? folder, string[] options)
    {
        Process process = Launch(mounter, mountPoint, options);
        Task<string?> line = process.StandardOutput.ReadLineAsync();
        if (!line.Wait(ReadyTimeoutMs) || line.Result?.StartsWith("READY", StringComparison.Ordinal) != true)
        {
            process.Kill();
            Assert.Fail($"the host did not mount: {line.Result} {process.StandardError.ReadToEnd()}");
        }

        return new HostProcess(mounter, mountPoint, folder, process, line.Result!);
    }

    private static Process Launch(Mounter mounter, string mountPoint, string[] options)
    {
        string[] command = [.. UserPrefix(mounter), Path.Combine(HostFolder.Value, "VDiskCrypt.Fuse.Host"), mountPoint, .. options];
        var start = new ProcessStartInfo(ExternalTool.Find(command[0]) ?? command[0], command[1..])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = "/",
        };
        start.Environment["DOTNET_TieredPGO"] = "0";
        return Process.Start(start)!;
    }

    private static string[] UserPrefix(Mounter mounter) =>
        IsUser(mounter) && Environment.IsPrivilegedProcess
            ? ["setpriv", $"--reuid={UserName}", $"--regid={UserName}", "--init-groups", "--inh-caps=-all", "env", "HOME=/tmp"]
            : ["env"];

    /// <summary>The folder of the host, or a copy of it where the ordinary user cannot read this one.</summary>
    private static string FindHost()
    {
        string folder = AppContext.BaseDirectory;
        if (!Environment.IsPrivilegedProcess
            || RunAs(Mounter.User, "/", "test -x \"$1/VDiskCrypt.Fuse.Host\" -a -r \"$1/VDiskCrypt.Fuse.dll\"", folder).ExitCode == 0)
        {
            return folder;
        }

        var copy = new ScratchFolder();
        AppDomain.CurrentDomain.ProcessExit += (_, _) => copy.Dispose();
        ExternalTool.Bash("cp -r \"$1\"/. \"$2\" && chmod -R a+rX \"$2\"", folder, copy.FullPath).Succeeded();
        return copy.FullPath;
    }
}
