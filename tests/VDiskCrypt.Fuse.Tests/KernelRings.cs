using VDiskCrypt.Core;
using Xunit;

namespace VDiskCrypt.Fuse.Tests;

/// <summary>
/// The kernel's switch for FUSE over io_uring, which a connection reads once, at its start: on for as long as a mount
/// takes, and then as it was.
/// </summary>
internal static class KernelRings
{
    private const string SwitchFile = "/sys/module/fuse/parameters/enable_uring";
    private static readonly Lock Switching = new();

    /// <summary>Skips the test where the switch cannot be turned.</summary>
    public static void Require()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "needs root, to switch FUSE over io_uring on");
        Assert.SkipUnless(File.Exists(SwitchFile), "the kernel has no FUSE over io_uring");
        Assert.SkipUnless(
            !File.Exists("/proc/sys/kernel/io_uring_disabled") || File.ReadAllText("/proc/sys/kernel/io_uring_disabled").Trim() == "0",
            "kernel.io_uring_disabled is set");
    }

    public static T With<T>(Func<T> mount)
    {
        lock (Switching)
        {
            string before = File.ReadAllText(SwitchFile);
            File.WriteAllText(SwitchFile, "Y");
            try
            {
                return mount();
            }
            finally
            {
                File.WriteAllText(SwitchFile, before);
            }
        }
    }

    /// <summary>Mounts in this process, through the transport asked for.</summary>
    public static FuseSession Mount(IFileSystem fileSystem, string mountPoint, FuseTransport transport, string sourceName = "memory")
    {
        HostProcess.Require(transport == FuseTransport.IoUring ? Mounter.RootRing : Mounter.Root);
        FuseSession session = transport == FuseTransport.IoUring
            ? With(() => FuseSession.Mount(fileSystem, mountPoint, new FuseOptions { SourceName = sourceName }))
            : FuseSession.Mount(fileSystem, mountPoint, new FuseOptions { SourceName = sourceName, UseIoUring = false });
        Assert.Equal(transport, session.Transport);
        return session;
    }
}
