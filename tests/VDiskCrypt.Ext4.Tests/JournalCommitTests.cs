using VDiskCrypt.Core;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Ext4.Tests;

/// <summary>How commits go through the journal: order, cost, failures.</summary>
public sealed class JournalCommitTests
{
    private static readonly Ext4Options Quiet = new() { CommitIntervalMs = 600_000 };

    /// <summary>A gate: what appending 4 KiB and syncing costs the device, in bytes and in times it must make durable.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(2000)]
    public void An_append_of_4_KiB_with_fsync_costs_so_many_bytes_and_flushes(int otherFiles)
    {
        (CrashDevice device, Ext4FileSystem fs) = Open("64M", "-b", "4096");
        using (fs)
        {
            for (int i = 0; i < otherFiles; i++)
            {
                Make(fs, $"other{i}", 100);
            }

            ulong file = Make(fs, "log", 4096);
            fs.SyncAll();
            const int Appends = 50;
            int from = device.Position;
            for (int i = 1; i <= Appends; i++)
            {
                Assert.Equal(FileSystemError.None, fs.Write(file, i * 4096, new byte[4096], out _));
                Assert.Equal(FileSystemError.None, fs.Sync(file, dataOnly: true));
            }

            List<DeviceChange> made = device.Changes[from..];
            long bytes = made.Sum(change => (long)(change.Bytes?.Length ?? 0)) / Appends;
            double flushes = (double)made.Count(change => change.IsFlush) / Appends;
            double durables = (double)made.Count(change => change.IsDurable) / Appends;
            TestContext.Current.TestOutputHelper?.WriteLine($"{otherFiles} files: {bytes} bytes, {flushes} flushes, {durables} durable writes");

            // Data; descriptor, inode table, bitmap, group descriptor; commit.
            Assert.Equal(1, flushes);
            Assert.Equal(1, durables);
            Assert.Equal(6 * 4096, bytes);
        }
    }

    [Fact]
    public void An_fsync_without_changes_of_metadata_flushes_once_and_writes_nothing()
    {
        (CrashDevice device, Ext4FileSystem fs) = Open("64M", "-b", "4096");
        using (fs)
        {
            ulong file = Make(fs, "f", 8192);
            fs.SyncAll();
            int from = device.Position;
            Assert.Equal(FileSystemError.None, fs.Sync(file, dataOnly: false));
            Assert.True(Assert.Single(device.Changes[from..]).IsFlush);

            // Newer times alone do not make fdatasync commit.
            Thread.Sleep(20);
            Assert.Equal(FileSystemError.None, fs.Write(file, 0, new byte[4096], out _));
            from = device.Position;
            Assert.Equal(FileSystemError.None, fs.Sync(file, dataOnly: true));
            Assert.True(Assert.Single(device.Changes[from..]).IsFlush);
            Assert.Equal(FileSystemError.None, fs.Sync(file, dataOnly: false));
            Assert.Contains(device.Changes[from..], change => change.IsCommitBlock);
        }
    }

    [Fact]
    public async Task Syncs_that_come_during_a_commit_share_the_next()
    {
        const int Threads = 8;
        using var image = new Ext4Image("64M", "-b", "4096");
        using var session = new Session(image, Quiet);
        ulong[] files = [.. Enumerable.Range(0, Threads).Select(i => session.MakeFile($"/f{i}"))];
        session.FileSystem.SyncAll();
        session.MakeFile("/first");
        using var stalled = new ManualResetEventSlim();
        using var release = new ManualResetEventSlim();
        int commits = 0;
        session.Device.OnWritten = (_, source) =>
        {
            if (source.Length == 4096 && source[..8].SequenceEqual((ReadOnlySpan<byte>)[0xC0, 0x3B, 0x39, 0x98, 0, 0, 0, 2]))
            {
                if (Interlocked.Increment(ref commits) == 1)
                {
                    stalled.Set();
                    release.Wait(20_000);
                }
            }
        };
        Task first = Task.Run(() => session.FileSystem.SyncAll());
        Assert.True(stalled.Wait(10_000));

        // Readers and new changes do not wait for the commit that is being written.
        Task[] syncs = [.. files.Select(file => Task.Run(() =>
        {
            session.Write(file, 0, new byte[5000]);
            Assert.Equal(FileSystemError.None, session.FileSystem.Sync(file, false));
        }))];
        Assert.True(SpinWait.SpinUntil(() => files.All(file => session.Attributes(file).Size == 5000), 10_000));
        Assert.All(syncs, sync => Assert.False(sync.IsCompleted));
        release.Set();
        await Task.WhenAll([first, .. syncs]).WaitAsync(TimeSpan.FromSeconds(10));
        Assert.InRange(commits, 2, 3);
    }

    [Theory]
    [InlineData(DataMode.Ordered)]
    [InlineData(DataMode.Writeback)]
    public async Task A_commit_waits_for_the_data_that_it_makes_visible_in_ordered_mode(DataMode mode)
    {
        using var image = new Ext4Image("64M", "-b", "4096");
        using var session = new Session(image, Quiet with { DataMode = mode });
        ulong file = session.MakeFile("/f");
        using var stalled = new ManualResetEventSlim();
        using var release = new ManualResetEventSlim();
        session.Device.OnWrite = (_, count) =>
        {
            if (count == 40_960)
            {
                stalled.Set();
                release.Wait(20_000);
            }
        };
        Task write = Task.Run(() => session.Write(file, 0, new byte[40_960]));
        Assert.True(stalled.Wait(10_000));
        Task sync = Task.Run(() => session.FileSystem.SyncAll());
        bool isDone = await Task.WhenAny(sync, Task.Delay(500)) == sync;
        Assert.Equal(mode == DataMode.Writeback, isDone);
        release.Set();
        await write.WaitAsync(TimeSpan.FromSeconds(10));
        await sync.WaitAsync(TimeSpan.FromSeconds(10));
    }

    [Fact]
    public void A_commit_that_fails_is_told_to_callers_and_to_e2fsck_and_nothing_committed_is_lost()
    {
        using var image = new Ext4Image("64M", "-b", "4096");
        using (var session = new Session(image, Quiet))
        {
            session.MakeFile("/before", new byte[5000]);
            session.FileSystem.SyncAll();
            ulong after = session.MakeFile("/after", new byte[5000]);
            session.Device.OnWritten = (_, source) =>
            {
                if (source.Length == 4096 && source[..8].SequenceEqual((ReadOnlySpan<byte>)[0xC0, 0x3B, 0x39, 0x98, 0, 0, 0, 2]))
                {
                    throw new VDiskException(FailureKind.InputOutput, "a bad sector");
                }
            };
            Assert.Equal(FailureKind.InputOutput, Assert.Throws<VDiskException>(() => session.FileSystem.Sync(after, false)).Kind);
            Assert.Equal(FailureKind.ReadOnly, Assert.Throws<VDiskException>(() => session.FileSystem.Sync(after, false)).Kind);
            Assert.Equal(FailureKind.ReadOnly, Assert.Throws<VDiskException>(() => session.MakeFile("/more")).Kind);
            Assert.True(session.FileSystem.IsReadOnly);
        }

        Assert.Contains("Journal errno:", ExternalTool.Run("dumpe2fs", "-h", image.FullPath).Succeeded().Output.Replace("errno code", "errno"));
        string copy = image.Folder["copy"];
        File.Copy(image.FullPath, copy);
        ToolResult check = ExternalTool.Run("e2fsck", "-fy", copy);
        Assert.InRange(check.ExitCode, 0, 1);
        using var again = new Session(image);
        Assert.True(again.FileSystem.IsReadOnly);
        Assert.Contains("errors were recorded", Assert.Single(again.FileSystem.Notices));
        Assert.Equal(new byte[5000], again.ReadAll("/before"));
        Assert.False(again.Exists("/after"));
    }

    [Fact]
    public void A_flush_that_fails_before_the_commit_block_leaves_none()
    {
        (CrashDevice device, Ext4FileSystem fs) = Open("64M", "-b", "4096");
        Make(fs, "f", 5000);
        int from = device.Position;
        device.OnFlush = () => throw new VDiskException(FailureKind.InputOutput, "the cache is lost");
        Assert.Throws<VDiskException>(() => fs.SyncAll());
        Assert.DoesNotContain(device.Changes[from..], change => change.IsCommitBlock);
        Assert.True(fs.IsReadOnly);
        fs.Dispose();
    }

    private static (CrashDevice Device, Ext4FileSystem FileSystem) Open(string size, params string[] format)
    {
        using var image = new Ext4Image(size, format);
        var device = new CrashDevice(File.ReadAllBytes(image.FullPath), isRecording: true);
        return (device, Ext4FileSystem.Open(device, Quiet));
    }

    private static ulong Make(Ext4FileSystem fs, string name, int size)
    {
        Assert.Equal(FileSystemError.None, fs.Create(
            fs.RootInode, System.Text.Encoding.UTF8.GetBytes(name), new NewInode { Mode = UnixMode.Regular | 0x1A4 }, out InodeAttributes made));
        Assert.Equal(FileSystemError.None, fs.Write(made.Inode, 0, new byte[size], out _));
        return made.Inode;
    }
}
