using VDiskCrypt.Core;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Ext4.Tests;

public sealed class Ext4FileSystemRecoveryTests
{
    [Theory]
    [InlineData("-b 4096")]
    [InlineData("-b 1024 -O orphan_file")]
    public void An_unlinked_file_lives_until_the_last_forget(string format)
    {
        using var image = new Ext4Image("64M", format.Split(' '));
        using (var session = new Session(image))
        {
            ulong file = session.MakeFile("/f", new byte[100_000]);
            ulong other = session.MakeFile("/g", new byte[100_000]);
            Assert.Equal(FileSystemError.None, session.Unlink("/f"));
            Assert.Equal(FileSystemError.None, session.Unlink("/g"));
            session.Write(file, 50, "still here"u8.ToArray());
            Assert.Equal("still here"u8.ToArray(), session.Read(file, 50, 10));
            Assert.Equal(0u, session.Attributes(file).LinkCount);

            // Cut short, they are still without a name.
            Assert.Equal(FileSystemError.None, session.Truncate(file, 10_000));
            Assert.Equal(FileSystemError.None, session.Truncate(other, 10_000));
            session.FileSystem.Forget(file, 2);
            Assert.Equal(FileSystemError.StaleInode, session.FileSystem.GetAttributes(file, out _));
            Assert.Equal(0u, session.Attributes(other).LinkCount);
        }

        image.AssertClean();
    }

    [Theory]
    [InlineData("-b 4096")]
    [InlineData("-b 1024 -O orphan_file")]
    public void Orphans_on_disk_are_finished_at_the_next_opening(string format)
    {
        using var image = new Ext4Image("64M", format.Split(' '));
        string crashed = image.Folder["crashed"];
        ulong free;
        using (var session = new Session(image))
        {
            session.FileSystem.SyncAll();
            free = session.FileSystem.GetStatistics().FreeBlockCount;
            for (int i = 0; i < 20; i++)
            {
                session.MakeFile($"/f{i}", new byte[50_000 * i]);
            }

            for (int i = 0; i < 20; i++)
            {
                Assert.Equal(FileSystemError.None, session.Unlink($"/f{i}"));
            }

            Assert.Equal(FileSystemError.None, session.FileSystem.CreateUnnamed(
                session.FileSystem.RootInode, new NewInode { Mode = UnixMode.Regular }, out _));
            session.FileSystem.SyncAll();
            File.Copy(image.FullPath, crashed);
        }

        image.AssertClean();
        File.Copy(crashed, image.FullPath, overwrite: true);
        using (var unclean = new Session(image))
        {
            Assert.True(unclean.FileSystem.IsReadOnly);
            Assert.Contains("not unmounted cleanly", Assert.Single(unclean.FileSystem.Notices));
        }

        // As after the replay of a journal: the state is valid, the orphans are there.
        ExternalTool.Run("debugfs", "-w", "-R", "ssv state 1", image.FullPath).Succeeded();
        using (var session = new Session(image))
        {
            Assert.False(session.FileSystem.IsReadOnly);
            session.FileSystem.SyncAll();
            Assert.InRange(session.FileSystem.GetStatistics().FreeBlockCount, free - 4, free);
        }

        image.AssertClean();
    }

    [Fact]
    public void A_truncated_orphan_loses_what_lies_behind_its_end()
    {
        using var image = new Ext4Image("64M", "-b", "4096");
        image.WithKernel("head -c 1000000 /dev/urandom > f; sync");
        uint inode = uint.Parse(image.WithKernel("stat -c %i f").Trim());
        ExternalTool.Bash(
            "debugfs -w -f - \"$1\" <<< $'sif f size 5000\\nssv last_orphan '$2", image.FullPath, $"{inode}").Succeeded();
        using (var session = new Session(image))
        {
            Assert.Equal(5000, session.Attributes(inode).Size);
            Assert.Equal(16, session.Attributes(inode).Blocks512);
        }

        image.AssertClean();
    }

    [Fact]
    public void A_failed_metadata_write_makes_it_read_only_and_is_recorded()
    {
        using var image = new Ext4Image("64M", "-b", "4096");
        using (var session = new Session(image, new Ext4Options { CommitIntervalMs = 600_000 }))
        {
            session.MakeFile("/before", new byte[5000]);
            session.FileSystem.SyncAll();
            session.MakeFile("/after", new byte[5000]);
            session.Device.OnWrite = (offset, count) =>
            {
                if (offset != 1024)
                {
                    throw new VDiskException(FailureKind.InputOutput, "the disk is gone");
                }
            };
            VDiskException first = Assert.Throws<VDiskException>(() => session.FileSystem.SyncAll());
            Assert.Equal(FailureKind.InputOutput, first.Kind);
            Assert.True(session.FileSystem.IsReadOnly);
            VDiskException second = Assert.Throws<VDiskException>(() => session.MakeFile("/more"));
            Assert.Equal(FailureKind.ReadOnly, second.Kind);
            Assert.Equal(FailureKind.ReadOnly, Assert.Throws<VDiskException>(() => session.FileSystem.SyncAll()).Kind);
            Assert.Equal(new byte[5000], session.ReadAll("/after"));
            session.Device.OnWrite = null;
        }

        Assert.Contains("not clean with errors", image.Debugfs("show_super_stats -h"));
    }

    [Fact]
    public void A_failed_data_write_shows_zeros_and_stays_reported()
    {
        using var image = new Ext4Image("64M", "-b", "4096");
        using (var session = new Session(image))
        {
            ulong file = session.MakeFile("/f");
            session.Device.OnWrite = (_, count) =>
            {
                if (count == 40_960)
                {
                    throw new VDiskException(FailureKind.NoSpace, "the host is full");
                }
            };
            Assert.Throws<VDiskException>(() => session.Write(file, 0, new byte[40_960]));
            session.Device.OnWrite = null;
            Assert.Equal(-1, session.Read(file, 0, 40_960).AsSpan().IndexOfAnyExcept((byte)0));
            Assert.Equal(FailureKind.NoSpace, Assert.Throws<VDiskException>(() => session.FileSystem.Sync(file, false)).Kind);
            Assert.Equal(FailureKind.NoSpace, Assert.Throws<VDiskException>(() => session.FileSystem.Sync(file, true)).Kind);
            Assert.False(session.FileSystem.IsReadOnly);
            session.Write(file, 0, new byte[1000]);
        }

        image.AssertClean();
    }

    [Fact]
    public void While_it_is_open_the_superblock_says_not_clean()
    {
        using var image = new Ext4Image("64M", "-b", "4096");
        using (var session = new Session(image))
        {
            session.MakeFile("/f");
            Assert.Contains("not clean", image.Debugfs("show_super_stats -h"));
        }

        Assert.DoesNotContain("not clean", image.Debugfs("show_super_stats -h"));
    }

    [Theory]
    [InlineData("-O inline_data", "inline_data")]
    [InlineData("-O encrypt", "encrypt")]
    [InlineData("-O casefold", "casefold")]
    [InlineData("-O ea_inode", "ea_inode")]
    [InlineData("-O mmp", "mmp")]
    public void A_feature_that_is_not_handled_is_refused_by_name(string arguments, string name)
    {
        using var image = new Ext4Image("64M", arguments.Split(' '));
        using FileBlockDevice device = image.OpenDevice();
        VDiskException exception = Assert.Throws<VDiskException>(() => Ext4FileSystem.Open(device, new Ext4Options()));
        Assert.Equal(FailureKind.Unsupported, exception.Kind);
        Assert.Contains(name, exception.Message);
    }

    [Theory]
    [InlineData("-O quota", "quota")]
    [InlineData("-O project,quota", "project")]
    [InlineData("-O verity", "verity")]
    public void A_feature_that_forbids_writing_opens_read_only_with_a_notice(string arguments, string name)
    {
        using var image = new Ext4Image("64M", arguments.Split(' '));
        using var session = new Session(image);
        Assert.True(session.FileSystem.IsReadOnly);
        Assert.Contains(name, Assert.Single(session.FileSystem.Notices));
        Assert.Equal(FileSystemError.ReadOnly, session.FileSystem.Create(
            2, "f"u8, new NewInode { Mode = UnixMode.Regular }, out _));
    }

    [Fact]
    public void A_journal_that_needs_recovery_is_refused()
    {
        using var image = new Ext4Image("64M", "-b", "4096");
        ExternalTool.Run("debugfs", "-w", "-R", "feature needs_recovery", image.FullPath).Succeeded();
        using FileBlockDevice device = image.OpenDevice();
        Assert.Equal(FailureKind.Unsupported, Assert.Throws<VDiskException>(
            () => Ext4FileSystem.Open(device, new Ext4Options { ReadOnly = true })).Kind);
    }

    [Fact]
    public async Task A_stalled_read_of_one_file_does_not_delay_others()
    {
        using var image = new Ext4Image("64M", "-b", "4096");
        using var session = new Session(image);
        ulong slow = session.MakeFile("/slow", new byte[65536]);
        ulong quick = session.MakeFile("/quick", new byte[8192]);
        using var release = new ManualResetEventSlim();
        using var stalled = new ManualResetEventSlim();
        session.Device.OnRead = (_, count) =>
        {
            if (count == 65536)
            {
                stalled.Set();
                release.Wait(20_000);
            }
        };
        Task read = Task.Run(() => session.Read(slow, 0, 65536));
        Assert.True(stalled.Wait(10_000));
        Task others = Task.Run(() =>
        {
            session.Read(quick, 0, 8192);
            session.Read(slow, 0, 4096);
            session.MakeFile("/new", new byte[10_000]);
            session.FileSystem.SyncAll();
            session.Attributes(slow);
            session.Find("/slow");
        });
        await others.WaitAsync(TimeSpan.FromSeconds(10));
        Assert.False(read.IsCompleted);
        release.Set();
        await read.WaitAsync(TimeSpan.FromSeconds(10));
    }
}
