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

        Assert.Contains("clean with errors", image.Debugfs("show_super_stats -h"));

        // The replay does not take the record away.
        using (var again = new Session(image))
        {
            Assert.True(again.FileSystem.IsReadOnly);
            Assert.Contains("errors were recorded", Assert.Single(again.FileSystem.Notices));
            Assert.True(again.Exists("/before"));
            Assert.False(again.Exists("/after"));
        }

        ExternalTool.Bash("e2fsck -fy \"$1\"; test $? -le 1", image.FullPath).Succeeded();
        image.AssertClean();
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
    public void Without_a_journal_the_superblock_says_not_clean_while_it_is_open()
    {
        using var image = new Ext4Image("64M", "-b", "4096", "-O", "^has_journal");
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
    public void With_a_journal_the_superblock_asks_for_recovery_while_it_is_open()
    {
        using var image = new Ext4Image("64M", "-b", "4096", "-O", "orphan_file");
        using (var session = new Session(image))
        {
            session.MakeFile("/f");
            string open = image.Debugfs("show_super_stats -h");
            Assert.Contains("needs_recovery", open);
            Assert.Contains("orphan_present", open);
            Assert.DoesNotContain("not clean", open);
        }

        string closed = image.Debugfs("show_super_stats -h");
        Assert.DoesNotContain("needs_recovery", closed);
        Assert.DoesNotContain("orphan_present", closed);
    }

    [Fact]
    public void An_unclean_filesystem_without_a_journal_opens_read_only_with_a_notice()
    {
        using var image = new Ext4Image("64M", "-b", "4096", "-O", "^has_journal");
        string crashed = image.Folder["crashed"];
        using (var session = new Session(image))
        {
            session.MakeFile("/f", new byte[5000]);
            session.FileSystem.SyncAll();
            File.Copy(image.FullPath, crashed);
        }

        File.Copy(crashed, image.FullPath, overwrite: true);
        using var unclean = new Session(image);
        Assert.True(unclean.FileSystem.IsReadOnly);
        Assert.Contains("not unmounted cleanly", Assert.Single(unclean.FileSystem.Notices));
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
