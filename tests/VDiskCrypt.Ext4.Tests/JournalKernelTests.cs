using VDiskCrypt.Core;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Ext4.Tests;

/// <summary>What the kernel left dirty is recovered here, and what was left dirty here by the kernel and e2fsck.</summary>
[Trait("needs", "root")]
public sealed class JournalKernelTests
{
    /// <summary>Enough work on a small log that it wraps around; then a copy of the device as a power cut leaves it.</summary>
    private const string Work = """
        mkdir d
        for i in $(seq 1 40); do
          mkdir d/$i; for j in $(seq 1 20); do head -c $((j * 700)) /dev/zero | tr '\0' "\\$((100 + j % 60))" > d/$i/$j; done
          sync -f d/$i; if [ $((i % 3)) = 0 ]; then rm -r d/$((i - 1)); fi
        done
        head -c 3000000 /dev/urandom > large; mv d/40 moved; ln -s large link
        sync large .
        find . -type f -print0 | sort -z | xargs -0 md5sum > "$2.sums"
        head -c 100000 /dev/urandom > unsynced
        cp --sparse=always "$1" "$2.copy"
        """;

    [Theory]
    [InlineData("-b 1024 -J size=1", "")]
    [InlineData("-b 2048 -J size=2", "")]
    [InlineData("-b 4096 -J size=4", "")]
    [InlineData("-b 4096 -J size=4 -O orphan_file", "")]
    [InlineData("-b 4096 -J size=4 -O ^64bit,^metadata_csum,uninit_bg", "")]
    [InlineData("-b 4096 -J size=4 -O ^metadata_csum", ",journal_checksum")]
    [InlineData("-b 4096 -J size=4 -O ^metadata_csum", ",journal_async_commit,data=writeback")]
    [InlineData("-b 4096 -J size=4", ",data=journal")]
    [InlineData("-b 1024 -J size=1 -O ^extent,^64bit", "")]
    public void Recovers_what_the_kernel_left(string format, string options)
    {
        using var image = new Ext4Image("64M", format.Split(' '));
        Mounted(image, options, Work);
        string copy = image.Folder["mnt.copy"];
        string sums = File.ReadAllText(image.Folder["mnt.sums"]);
        File.Copy(copy, image.FullPath, overwrite: true);
        Assert.Contains("needs_recovery", image.Debugfs("show_super_stats -h"));
        using (var reading = new Session(image, new Ext4Options { ReadOnly = true }))
        {
            AssertHolds(reading, sums);
        }

        using (var session = new Session(image))
        {
            AssertHolds(session, sums);
            Assert.False(session.FileSystem.IsReadOnly, string.Join(' ', session.FileSystem.Notices));
            session.MakeFile("/mine", new byte[10_000]);
        }

        image.AssertClean();
    }

    [Theory]
    [InlineData("-b 1024 -J size=1")]
    [InlineData("-b 2048 -J size=2 -O ^64bit")]
    [InlineData("-b 4096 -J size=4")]
    [InlineData("-b 4096 -J size=4 -O orphan_file")]
    [InlineData("-b 1024 -J size=1 -O ^metadata_csum,uninit_bg")]
    public void The_kernel_and_e2fsck_recover_what_was_left_here(string format)
    {
        using var image = new Ext4Image("64M", format.Split(' '));
        string crashed = image.Folder["crashed"];
        Dictionary<string, byte[]> files = [];
        using (var session = new Session(image, new Ext4Options { CommitIntervalMs = 600_000 }))
        {
            for (int i = 0; i < 300; i++)
            {
                string name = $"/f{i}";
                byte[] content = new byte[100 + i * 37];
                new Random(i).NextBytes(content);
                ulong inode = session.MakeFile(name, content);
                files.Add(name, content);
                Assert.Equal(FileSystemError.None, session.FileSystem.Sync(inode, false));
                if (i % 5 == 4)
                {
                    Assert.Equal(FileSystemError.None, session.Unlink($"/f{i - 2}"));
                    session.FileSystem.Forget(session.Find($"/f{i}"), 0);
                    files.Remove($"/f{i - 2}");
                }
            }

            session.FileSystem.SyncAll();
            session.MakeFile("/unsynced", new byte[5000]);
            File.Copy(image.FullPath, crashed);
        }

        image.AssertClean();
        File.Copy(crashed, image.FullPath, overwrite: true);
        // The superblock's counters, stored at the end only, and the orphan file are the same where the kernel was cut off.
        ExternalTool.Bash("""
            cp "$1" "$2"; e2fsck -fy "$2" > "$2.log"; [ $? -le 1 ] || { cat "$2.log"; exit 1; }
            ! grep -B1 '? yes' "$2.log" | grep -vE '^(Fix|Clear)\? yes|^Free (blocks|inodes) count wrong \([0-9]+, counted|^Orphan file .* is not clean|^Feature orphan_present|^--' || exit 1
            """, image.FullPath, image.Folder["checked"]).Succeeded();
        string log = Mounted(image, "", "ls; cat f* | md5sum");
        Assert.DoesNotContain("unsynced", log);
        image.AssertClean();
        using var again = new Session(image);
        Assert.Equal(files.Count + 1, again.List("/").Count);
        Assert.All(files, file => Assert.Equal(file.Value, again.ReadAll(file.Key)));
    }

    [Fact]
    public void Fast_commits_of_the_kernel_are_refused_until_e2fsck_has_replayed_them()
    {
        using var image = new Ext4Image("64M", "-b", "4096", "-J", "size=8", "-O", "fast_commit");
        Mounted(image, ",commit=300", """
            echo one > a; sync -f a; sleep 0.1; echo two > b
            sync b
            cp --sparse=always "$1" "$2.copy"
            """);
        File.Copy(image.Folder["mnt.copy"], image.FullPath, overwrite: true);
        string features = ExternalTool.Run("dumpe2fs", "-h", image.FullPath).Output;
        Assert.SkipUnless(features.Contains("fast_commit"), "the kernel makes no fast commits");
        using (FileBlockDevice device = image.OpenDevice())
        {
            VDiskException refused = Assert.Throws<VDiskException>(() => Ext4FileSystem.Open(device, new Ext4Options()));
            Assert.Contains("fast commits", refused.Message);
            Assert.Contains("e2fsck", refused.Remedy);
        }

        ExternalTool.Bash("e2fsck -fy \"$1\" >&2; test $? -le 1", image.FullPath).Succeeded();
        using (var session = new Session(image))
        {
            Assert.Equal("two\n"u8.ToArray(), session.ReadAll("/b"));
            session.MakeFile("/c", new byte[5000]);
        }

        image.AssertClean();
    }

    [Fact]
    public void The_kernel_mounts_a_formatted_journal_and_what_it_left_is_recovered()
    {
        using var image = new Ext4Image("256M", "-b", "4096");
        using (FileBlockDevice device = image.OpenDevice())
        {
            Ext4Formatter.Format(device, new Ext4FormatOptions { OrphanFile = true });
        }

        image.AssertClean();
        Mounted(image, "", Work);
        File.Copy(image.Folder["mnt.copy"], image.FullPath, overwrite: true);
        using (var session = new Session(image))
        {
            AssertHolds(session, File.ReadAllText(image.Folder["mnt.sums"]));
        }

        image.AssertClean();
    }

    private static void AssertHolds(Session session, string sums)
    {
        string[] lines = sums.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.NotEmpty(lines);
        foreach (string line in lines)
        {
            string path = line[34..].TrimStart('.');
            Assert.Equal(line[..32], Convert.ToHexStringLower(System.Security.Cryptography.MD5.HashData(session.ReadAll(path))));
        }
    }

    /// <summary>Runs a script in the mounted filesystem; $1 is the image, $2 the mount point.</summary>
    private static string Mounted(Ext4Image image, string options, string script)
    {
        if (Environment.UserName != "root")
        {
            Assert.Skip("mounting by the kernel needs root");
        }

        return ExternalTool.Bash(
            $"set -e; mkdir -p \"$2\"; mount -o loop{options} \"$1\" \"$2\"; trap 'cd /; umount \"$2\"' EXIT; cd \"$2\"\n{script}",
            image.FullPath, image.Folder["mnt"]).Succeeded().Output;
    }
}
