using System.Diagnostics;
using VDiskCrypt.Core;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Fuse.Tests;

/// <summary>Mounting, unmounting, and what goes wrong there.</summary>
public sealed class MountLifecycleTests
{
    [Theory]
    [InlineData(Mounter.Root)]
    [InlineData(Mounter.User)]
    [InlineData(Mounter.RootRing)]
    [InlineData(Mounter.UserRing)]
    public void A_mount_that_a_dead_server_left_is_cleared(Mounter mounter)
    {
        using HostProcess dead = HostProcess.Start(mounter);
        dead.Bash("echo x > $M/f; cat $M/f").Succeeded();
        dead.Kill();
        Assert.NotEqual(0, dead.Bash("cat $M/f").ExitCode);
        using HostProcess next = HostProcess.StartOn(mounter, dead.MountPoint);
        next.Bash("[ ! -e $M/f ]; echo y > $M/f; cat $M/f; [ $(grep -c \" $M \" /proc/self/mountinfo) = 1 ]").Succeeded();
        next.Stop();
    }

    [Theory]
    [InlineData(Mounter.Root)]
    [InlineData(Mounter.User)]
    [InlineData(Mounter.RootRing)]
    [InlineData(Mounter.UserRing)]
    public void Unmounting_from_outside_ends_the_session(Mounter mounter)
    {
        using HostProcess host = HostProcess.Start(mounter);
        host.Bash("dd if=/dev/zero of=$M/f bs=1M count=20 status=none").Succeeded();
        Assert.StartsWith("DONE", host.Stop(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(Mounter.Root)]
    [InlineData(Mounter.User)]
    [InlineData(Mounter.RootRing)]
    [InlineData(Mounter.UserRing)]
    public void A_signal_unmounts_under_load(Mounter mounter)
    {
        using HostProcess host = HostProcess.Start(mounter);
        using Process load = Process.Start(new ProcessStartInfo("bash",
            ["-c", $"while :; do dd if=/dev/zero of={host.MountPoint}/f bs=1M count=10 2>/dev/null; cat {host.MountPoint}/f >/dev/null; done"])
        {
            RedirectStandardError = true,
            RedirectStandardOutput = true,
        })!;
        Thread.Sleep(500);
        ExternalTool.Run("kill", "-TERM", host.ProcessId.ToString(System.Globalization.CultureInfo.InvariantCulture)).Succeeded();
        try
        {
            Assert.StartsWith("DONE", host.WaitForExit(), StringComparison.Ordinal);
        }
        finally
        {
            load.Kill(entireProcessTree: true);
        }
    }

    [Theory]
    [InlineData(Mounter.Root)]
    [InlineData(Mounter.User)]
    [InlineData(Mounter.RootRing)]
    [InlineData(Mounter.UserRing)]
    public void A_second_mount_on_a_live_one_is_refused(Mounter mounter)
    {
        using HostProcess host = HostProcess.Start(mounter);
        Assert.Contains("InUse: a volume is mounted there already", HostProcess.StartFailing(mounter, host.MountPoint), StringComparison.Ordinal);
        host.Bash("echo alive > $M/f").Succeeded();
    }

    [Theory]
    [InlineData(Mounter.Root)]
    [InlineData(Mounter.User)]
    [InlineData(Mounter.RootRing)]
    [InlineData(Mounter.UserRing)]
    public void A_read_only_mount_refuses_every_change(Mounter mounter)
    {
        using HostProcess host = HostProcess.Start(mounter, "ro");
        host.Bash("! touch $M/f 2>/dev/null; ! mkdir $M/d 2>/dev/null; grep \" $M \" /proc/self/mountinfo | grep -q ' ro,'").Succeeded();
    }

    [Fact]
    public void The_message_of_fusermount_reaches_the_user()
    {
        HostProcess.Require(Mounter.User);
        Assert.SkipWhen(
            File.Exists("/etc/fuse.conf") && File.ReadLines("/etc/fuse.conf").Any(line => line.Trim() == "user_allow_other"),
            "user_allow_other is set in /etc/fuse.conf");
        using var folder = new ScratchFolder();
        ExternalTool.Bash("chmod 777 \"$1\"; mkdir -m 777 \"$1/m\"", folder.FullPath).Succeeded();
        string error = HostProcess.StartFailing(Mounter.User, folder["m"], "allow_other");
        Assert.Contains("NotPermitted", error, StringComparison.Ordinal);
        Assert.Contains("user_allow_other", error, StringComparison.Ordinal);
    }

    [Fact]
    public void Mount_points_that_will_not_do_are_named()
    {
        using var folder = new ScratchFolder();
        using var fileSystem = new MemoryFileSystem();
        VDiskException missing = Assert.Throws<VDiskException>(() => FuseSession.Mount(fileSystem, folder["none"], new FuseOptions()));
        Assert.Equal(FailureKind.NotFound, missing.Kind);
        File.WriteAllText(folder["file"], "");
        VDiskException file = Assert.Throws<VDiskException>(() => FuseSession.Mount(fileSystem, folder["file"], new FuseOptions()));
        Assert.Equal(FailureKind.Usage, file.Kind);
        Assert.Contains("not a directory", file.Message, StringComparison.Ordinal);
        VDiskException full = Assert.Throws<VDiskException>(() => FuseSession.Mount(fileSystem, folder.FullPath, new FuseOptions()));
        Assert.Contains("not empty", full.Message, StringComparison.Ordinal);
        Assert.Equal(FailureKind.NotFound, Assert.Throws<VDiskException>(() => FuseMounts.Unmount(folder.FullPath)).Kind);
    }

    [Theory]
    [InlineData(FuseTransport.Device)]
    [InlineData(FuseTransport.IoUring)]
    public void Unmounting_while_files_are_open_is_refused_unless_it_is_lazy(FuseTransport transport)
    {
        using var folder = new ScratchFolder();
        using var fileSystem = new MemoryFileSystem();
        FuseSession session = KernelRings.Mount(fileSystem, folder.FullPath, transport, "an image");
        Assert.Contains(FuseMounts.List(), mount => mount == new FuseMount(folder.FullPath, "an image"));
        using Process holder = Process.Start(new ProcessStartInfo("bash", ["-c", $"exec 7>{folder.FullPath}/f; echo open; read line; echo more >&7"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        })!;
        Assert.Equal("open", holder.StandardOutput.ReadLine());
        VDiskException busy = Assert.Throws<VDiskException>(() => session.Unmount());
        Assert.Equal(FailureKind.InUse, busy.Kind);
        Assert.Equal(FailureKind.InUse, Assert.Throws<VDiskException>(() => FuseMounts.Unmount(folder.FullPath)).Kind);
        Assert.False(session.Completion.IsCompleted);

        session.Unmount(lazy: true);
        Assert.DoesNotContain(FuseMounts.List(), mount => mount.MountPoint == folder.FullPath);
        Assert.False(session.Completion.IsCompleted);
        holder.StandardInput.WriteLine("go");
        SessionAssert.Ends(session);
        session.Unmount();
        Assert.Equal(1, fileSystem.GetStatistics() is { } s ? (int)(s.BlockCount - s.FreeBlockCount) : 0);
    }

    [Theory]
    [InlineData(Mounter.User)]
    [InlineData(Mounter.UserRing)]
    public void Busy_mounts_of_users_are_named_as_busy(Mounter mounter)
    {
        using HostProcess host = HostProcess.Start(mounter);
        ToolResult result = host.Bash("exec 7>$M/f; fusermount3 -u $M");
        Assert.Contains("busy", result.Error, StringComparison.Ordinal);
        host.Stop();
    }

    [Theory]
    [InlineData(FuseTransport.Device)]
    [InlineData(FuseTransport.IoUring)]
    public void Removed_files_give_all_their_references_back(FuseTransport transport)
    {
        using var folder = new ScratchFolder();
        using var fileSystem = new MemoryFileSystem();
        FuseSession session = KernelRings.Mount(fileSystem, folder.FullPath, transport);
        ExternalTool.Bash("""
            set -e; cd "$1"; for d in 1 2 3; do mkdir $d; (cd $d; seq 500 | xargs touch; ln 1 hard; ln -s 1 soft; mkfifo pipe); done
            ls -lR . > /dev/null; find . > /dev/null; cat */* < /dev/null > /dev/null & sleep 0.2; kill %1 2>/dev/null || true
            mv 1 one; stat 2/1 2/hard > /dev/null; rm -r one 2 3
            """, folder.FullPath).Succeeded();
        Assert.True(SpinWait.SpinUntil(() => fileSystem.InodeCount == 1, 10_000), $"{fileSystem.InodeCount} inodes are left");
        session.Unmount();
        SessionAssert.Ends(session);
        Assert.Equal(0, session.GetStatistics().FailureCount);
    }
}
