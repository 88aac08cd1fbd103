using System.Diagnostics;
using VDiskCrypt.Core;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Fuse.Tests;

/// <summary>Slow I/O below the filesystem delays those who wait for it, and nobody else.</summary>
public sealed class StalledRequestTests
{
    /// <summary>More than all the workers that a pool starts with, on two processors.</summary>
    private const int StalledReaderCount = 12;

    [Theory]
    [InlineData(FuseTransport.Device)]
    [InlineData(FuseTransport.IoUring)]
    public void Readers_of_other_files_are_served_while_reads_stall(FuseTransport transport)
    {
        using var folder = new ScratchFolder();
        using var gate = new ManualResetEventSlim();
        ulong firstStalled = ulong.MaxValue, lastStalled = 0;
        int waitingCount = 0;
        using var fileSystem = new MemoryFileSystem
        {
            Reading = (inode, _, _) =>
            {
                if (inode >= firstStalled && inode <= lastStalled)
                {
                    Interlocked.Increment(ref waitingCount);
                    gate.Wait();
                }
            },
        };
        FuseSession session = KernelRings.Mount(fileSystem, folder.FullPath, transport);
        ExternalTool.Bash($"cd \"$1\"; for i in $(seq {StalledReaderCount}); do echo slow > s$i; done; for i in $(seq 200); do echo f$i > f$i; done; echo 3 > /proc/sys/vm/drop_caches", folder.FullPath).Succeeded();
        Assert.Equal(FileSystemError.None, fileSystem.Lookup(fileSystem.RootInode, "s1"u8, out InodeAttributes first));
        firstStalled = first.Inode;
        lastStalled = first.Inode + StalledReaderCount - 1;

        using Process stalled = Process.Start("bash", ["-c", $"cd '{folder.FullPath}'; for i in $(seq {StalledReaderCount}); do taskset -c $((i % 2)) cat s$i >/dev/null & done; wait"])!;
        try
        {
            ToolResult others = ExternalTool.Run(
                "timeout", ["20", "bash", "-c", "set -e; cd \"$1\"; for i in $(seq 200); do [ \"$(taskset -c $((i % 2)) cat f$i)\" = f$i ]; done", "bash", folder.FullPath],
                input: null, timeoutMs: 30_000);
            others.Succeeded();
            Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref waitingCount) == StalledReaderCount, 5_000), $"only {waitingCount} of {StalledReaderCount} reads were taken");
        }
        finally
        {
            gate.Set();
            stalled.WaitForExit(10_000);
            session.Unmount(lazy: true);
            SessionAssert.Ends(session);
        }
    }

    [Theory]
    [InlineData(FuseTransport.Device)]
    [InlineData(FuseTransport.IoUring)]
    public void An_idle_mount_costs_no_processor_time(FuseTransport transport)
    {
        using HostProcess host = HostProcess.Start(transport == FuseTransport.IoUring ? Mounter.RootRing : Mounter.Root);
        host.Bash("for i in $(seq 50); do echo x > $M/$i; done; cat $M/* >/dev/null").Succeeded();
        Thread.Sleep(500);
        long before = ProcessorTicks(host.ProcessId);
        Thread.Sleep(2_000);
        Assert.InRange(ProcessorTicks(host.ProcessId) - before, 0, 4);
    }

    /// <summary>utime and stime of /proc/PID/stat, in hundredths of a second.</summary>
    private static long ProcessorTicks(int processId)
    {
        string[] fields = File.ReadAllText($"/proc/{processId}/stat").Split(' ');
        return long.Parse(fields[13]) + long.Parse(fields[14]);
    }
}
