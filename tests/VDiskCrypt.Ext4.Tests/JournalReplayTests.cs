using System.Buffers.Binary;
using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Journal;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Ext4.Tests;

/// <summary>Logs that debugfs wrote into free blocks of a filesystem, whole and damaged; e2fsck says what a replay gives.</summary>
public sealed class JournalReplayTests
{
    private const int First = 9000;
    private const uint Magic = 0xC03B3998;

    /// <summary>Checksums of version 3, of version 2, the old one over the transaction, none; wide and narrow numbers.</summary>
    public static TheoryData<string, string> Formats { get; } = new()
    {
        { "-b 1024 -J size=1", "jo -c -v 3" },
        { "-b 1024 -J size=1", "jo -c -v 2" },
        { "-b 1024 -J size=1 -O ^64bit", "jo -c -v 3" },
        { "-b 2048 -J size=2 -O ^64bit", "jo -c -v 2" },
        { "-b 4096 -J size=4", "jo -c -v 3" },
        { "-b 4096 -J size=4 -O ^metadata_csum", "jo -c" },
        { "-b 4096 -J size=4 -O ^metadata_csum,^64bit", "jo" },
        { "-b 1024 -J size=1 -O ^metadata_csum", "jo" },
        { "-b 1024 -J size=1 -O ^extent,^64bit,^metadata_csum", "jo" },
    };

    [Theory]
    [MemberData(nameof(Formats))]
    public void Replays_what_e2fsck_replays(string format, string open)
    {
        // debugfs gives the second and third transaction wrong checksums of the old kind: both must stop at the first.
        bool isOldChecksum = open == "jo -c";
        using Log log = Log.Make(format, open);
        string oracle = log.Image.Folder["oracle"];
        File.Copy(log.Image.FullPath, oracle);
        ExternalTool.Bash("e2fsck -fy \"$1\" >&2; test $? -le 1", oracle).Succeeded();
        byte[][] expected = log.Blocks(oracle);
        Assert.Equal(log.Content(0), expected[0]);
        Assert.Equal(log.Content(2), expected[2]);
        if (!isOldChecksum)
        {
            Assert.NotEqual(log.Content(1), expected[1]);
            Assert.Equal(log.Content(3), expected[3]);
        }

        Assert.Equal(expected, log.Viewed());
        log.AssertUnchangedByViewing();
        using (var session = new Session(log.Image))
        {
            Assert.False(session.FileSystem.IsReadOnly);
            Assert.Empty(session.FileSystem.Notices);
            Assert.Equal(expected, log.Blocks(log.Image.FullPath));
        }

        Assert.DoesNotContain("needs_recovery", log.Image.Debugfs("show_super_stats -h"));
        log.Image.AssertClean();
    }

    [Theory]
    [InlineData("-b 1024 -J size=1", "jo -c -v 3")]
    [InlineData("-b 4096 -J size=4 -O ^metadata_csum", "jo")]
    public void Sequence_numbers_wrap(string format, string open)
    {
        using Log log = Log.Make(format, open, firstSequence: uint.MaxValue);
        Assert.Equal([log.Content(0), log.Content(2), log.Content(3)], new[] { 0, 2, 3 }.Select(i => log.Viewed()[i]));
        Assert.NotEqual(log.Content(1), log.Viewed()[1]);
    }

    /// <summary>Where the last transaction is not whole it did not happen; the ones before did.</summary>
    [Theory]
    [InlineData("jo -c -v 3", 3, 1, 40)]
    [InlineData("jo -c -v 3", 3, 1, 1020)]
    [InlineData("jo -c -v 3", 3, 2, 700)]
    [InlineData("jo -c -v 3", 3, 3, 200)]
    [InlineData("jo -c -v 3", 3, 3, 9)]
    [InlineData("jo -c -v 2", 3, 1, 40)]
    [InlineData("jo -c -v 2", 3, 2, 700)]
    [InlineData("jo -c -v 2", 3, 3, 60)]
    public void A_damaged_last_transaction_ends_the_replay(string open, int transaction, int block, int offset)
    {
        using Log log = Log.Make("-b 1024 -J size=1", open);
        log.Flip(log.Starts[transaction - 1] + block - 1, offset);
        byte[][] viewed = log.Viewed();
        Assert.Equal(log.Content(0), viewed[0]);
        Assert.Equal(log.Content(2), viewed[2]);
        Assert.Equal(new byte[1024], viewed[3]);
    }

    [Fact]
    public void A_damaged_commit_block_of_the_old_checksum_ends_the_replay()
    {
        using Log log = Log.Make("-b 1024 -J size=1 -O ^metadata_csum", "jo -c");
        log.Flip(log.Starts[2] + 1, 500);
        Assert.Equal(log.Content(2), log.Viewed()[2]);
        Assert.NotEqual(log.Content(3), log.Viewed()[3]);
    }

    [Theory]
    [InlineData(1, 1, 40)]
    [InlineData(1, 2, 5)]
    [InlineData(1, 5, 300)]
    [InlineData(2, 1, 18)]
    [InlineData(2, 2, 300)]
    public void A_damaged_transaction_before_a_whole_one_is_refused(int transaction, int block, int offset)
    {
        using Log log = Log.Make("-b 1024 -J size=1", "jo -c -v 3");
        log.Flip(log.Starts[transaction - 1] + block - 1, offset);
        VDiskException exception = Assert.Throws<VDiskException>(() => log.Viewed());
        Assert.Equal(FailureKind.Damaged, exception.Kind);
        Assert.Contains("later ones were committed", exception.Message);
    }

    [Theory]
    [InlineData(0xFFFFFFFFu, "outside the filesystem")]
    [InlineData(70_000u, "outside the filesystem")]
    [InlineData(0u, "outside the filesystem")]
    [InlineData(uint.MaxValue - 1, "the journal's own")]
    public void A_transaction_that_names_a_block_outside_or_of_the_journal_is_refused(uint block, string what)
    {
        using Log log = Log.Make("-b 1024 -J size=1 -O ^metadata_csum,^64bit", "jo");
        block = block == uint.MaxValue - 1 ? (uint)log.Places[20] : block;
        log.Patch(log.Starts[2], 12, block);
        VDiskException exception = Assert.Throws<VDiskException>(() => log.Viewed());
        Assert.Equal(FailureKind.Damaged, exception.Kind);
        Assert.Contains(what, exception.Message);
        using FileBlockDevice device = log.Image.OpenDevice();
        Assert.Throws<VDiskException>(() => Ext4FileSystem.Open(device, new Ext4Options()));
    }

    [Theory]
    [InlineData(0x28, 0x40u, FailureKind.Unsupported)] // an unknown incompatible feature
    [InlineData(0x2C, 1u, FailureKind.Unsupported)] // an unknown read-only compatible feature
    [InlineData(0x00, 1u, FailureKind.Damaged)] // the magic number
    [InlineData(0x04, 9u, FailureKind.Damaged)] // the type
    [InlineData(0x0C, 2048u, FailureKind.Damaged)] // the block size
    [InlineData(0x10, 4096u, FailureKind.Damaged)] // more blocks than the file has
    [InlineData(0x10, 100u, FailureKind.Damaged)] // too few
    [InlineData(0x14, 0u, FailureKind.Damaged)] // the log begins in the superblock
    [InlineData(0x14, 1023u, FailureKind.Damaged)] // the log has no room
    [InlineData(0x1C, 5000u, FailureKind.Damaged)] // the tail is outside the log
    public void A_journal_superblock_that_makes_no_sense_is_refused(int offset, uint value, FailureKind kind)
    {
        using Log log = Log.Make("-b 1024 -J size=1 -O ^metadata_csum", "jo");
        log.Patch(0, offset, value);
        Assert.Equal(kind, Assert.Throws<VDiskException>(() => log.Viewed()).Kind);
        using FileBlockDevice device = log.Image.OpenDevice();
        Assert.Equal(kind, Assert.Throws<VDiskException>(() => Ext4FileSystem.Open(device, new Ext4Options())).Kind);
    }

    [Fact]
    public void The_checksum_of_the_journal_superblock_is_checked()
    {
        using Log log = Log.Make("-b 1024 -J size=1", "jo -c -v 3");
        log.Flip(0, 0x18);
        Assert.Contains("checksum", Assert.Throws<VDiskException>(() => log.Viewed()).Message);
    }

    [Fact]
    public void A_superblock_of_version_one_is_read_and_becomes_version_two()
    {
        using Log log = Log.Make("-b 1024 -J size=1 -O ^metadata_csum,^64bit", "jo");
        log.Patch(0, 4, 3);
        log.Patch(0, 0x28, 0);
        Assert.Equal(log.Content(0), log.Viewed()[0]);
        using (var session = new Session(log.Image))
        {
            session.MakeFile("/f", new byte[3000]);
        }

        log.Image.AssertClean();
        Assert.Contains("journal_incompat_revoke", ExternalTool.Run("dumpe2fs", "-h", log.Image.FullPath).Succeeded().Output);
    }

    [Fact]
    public void An_external_journal_is_refused()
    {
        using var image = new Ext4Image("64M", "-b", "1024");
        ExternalTool.Run("debugfs", "-w", "-R", "ssv journal_inum 0", image.FullPath).Succeeded();
        using FileBlockDevice device = image.OpenDevice();
        VDiskException exception = Assert.Throws<VDiskException>(() => Ext4FileSystem.Open(device, new Ext4Options()));
        Assert.Equal(FailureKind.Unsupported, exception.Kind);
        Assert.Contains("device of its own", exception.Message);
    }

    [Theory]
    [InlineData(3u, true)]
    [InlineData(2u, false)]
    [InlineData(4u, false)]
    public void Fast_commits_are_refused_where_they_follow_the_last_commit_only(uint tid, bool isRefused)
    {
        using Log log = Log.Make("-b 1024 -J size=1 -O ^metadata_csum", "jo", transactions: 2);
        log.Patch(0, 0x28, 0x21 | 2);
        log.Patch(0, 0x54, 100);
        log.Patch(1024 - 99, 0, 0x09000800);
        log.Patch(1024 - 99, 4, 0);
        log.Patch(1024 - 99, 8, BinaryPrimitives.ReverseEndianness(tid));
        if (isRefused)
        {
            VDiskException exception = Assert.Throws<VDiskException>(() => log.Viewed());
            Assert.Equal(FailureKind.Unsupported, exception.Kind);
            Assert.Contains("fast commits", exception.Message);
        }
        else
        {
            Assert.Equal(log.Content(0), log.Viewed()[0]);
        }
    }

    [Fact]
    public void A_log_that_the_superblock_does_not_ask_for_is_left_out()
    {
        using Log log = Log.Make("-b 1024 -J size=1", "jo -c -v 3");
        ExternalTool.Run("debugfs", "-w", "-R", "feature -needs_recovery", log.Image.FullPath).Succeeded();
        using (new Session(log.Image).FileSystem)
        {
            Assert.NotEqual(log.Content(0), log.Blocks(log.Image.FullPath)[0]);
        }

        log.Image.AssertClean();
    }

    [Fact]
    public void A_torn_superblock_opens_when_a_backup_confirms_it_and_else_for_reading()
    {
        using (var image = new Ext4Image("64M", "-b", "1024"))
        {
            Tear(image, 0x34);
            using (var session = new Session(image))
            {
                Assert.False(session.FileSystem.IsReadOnly);
            }

            image.AssertClean();
            Tear(image, 0x174);
            using var refused = new Session(image);
            Assert.True(refused.FileSystem.IsReadOnly);
            Assert.Contains("checksum", Assert.Single(refused.FileSystem.Notices));
        }

        using var single = new Ext4Image("64M", "-b", "4096");
        Tear(single, 0x34);
        using var reading = new Session(single);
        Assert.True(reading.FileSystem.IsReadOnly);

        static void Tear(Ext4Image image, int offset)
        {
            using FileStream stream = File.Open(image.FullPath, FileMode.Open);
            stream.Position = 1024 + offset;
            int value = stream.ReadByte();
            stream.Position--;
            stream.WriteByte((byte)(value + 1));
        }
    }

    /// <summary>
    /// A log of three transactions: blocks 9000 to 9002, of which the first begins with the magic number; a revocation of
    /// the second; block 9003.
    /// </summary>
    private sealed class Log : IDisposable
    {
        private readonly int _blockByteSize;
        private readonly byte[] _content;

        private Log(Ext4Image image, int blockByteSize, byte[] content)
        {
            Image = image;
            _blockByteSize = blockByteSize;
            _content = content;
            Places = [.. image.Debugfs("blocks <8>").Split(' ', StringSplitOptions.RemoveEmptyEntries)
                .Where(word => long.TryParse(word, out _)).Select(long.Parse)];
        }

        public Ext4Image Image { get; }

        /// <summary>Where each block of the journal is.</summary>
        public long[] Places { get; private set; }

        /// <summary>The first block of each transaction.</summary>
        public int[] Starts { get; } = [1, 6, 8];

        public static Log Make(string format, string open, uint? firstSequence = null, int transactions = 3)
        {
            ExternalTool.Require("debugfs");
            string[] arguments = format.Split(' ');
            var image = new Ext4Image("64M", arguments);
            int blockByteSize = int.Parse(arguments[1]);
            byte[] content = new byte[4 * blockByteSize];
            new Random(1).NextBytes(content);
            BinaryPrimitives.WriteUInt32BigEndian(content, Magic);
            var log = new Log(image, blockByteSize, content);
            log.SkipMapBlocks();
            if (firstSequence is { } sequence)
            {
                log.Patch(0, 0x18, sequence);
            }

            File.WriteAllBytes(image.Folder["first"], content[..(3 * blockByteSize)]);
            File.WriteAllBytes(image.Folder["last"], content[(3 * blockByteSize)..]);
            string script = $"{open}\njw -b {First},{First + 1},{First + 2} {image.Folder["first"]}\njw -r {First + 1}\n"
                + (transactions > 2 ? $"jw -b {First + 3} {image.Folder["last"]}\n" : "") + "jc\n";
            File.WriteAllText(image.Folder["script"], script);
            ExternalTool.Run("debugfs", "-w", "-f", image.Folder["script"], image.FullPath).Succeeded();
            return log;
        }

        public byte[] Content(int index) => _content.AsSpan(index * _blockByteSize, _blockByteSize).ToArray();

        /// <summary>The four blocks as they are in an image.</summary>
        public byte[][] Blocks(string path)
        {
            using FileStream stream = File.Open(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            return [.. Enumerable.Range(First, 4).Select(block =>
            {
                var bytes = new byte[_blockByteSize];
                stream.Position = (long)block * _blockByteSize;
                stream.ReadExactly(bytes);
                return bytes;
            })];
        }

        /// <summary>The four blocks as they read through the log, without a replay.</summary>
        public byte[][] Viewed()
        {
            using FileBlockDevice device = Image.OpenDevice(isReadOnly: true);
            IBlockDevice view = Recovery.Run(device, wantsWrite: false).View;
            return [.. Enumerable.Range(First, 4).Select(block =>
            {
                var bytes = new byte[_blockByteSize];
                view.Read((long)block * _blockByteSize, bytes);
                return bytes;
            })];
        }

        public void AssertUnchangedByViewing()
        {
            byte[] before = File.ReadAllBytes(Image.FullPath);
            using (var session = new Session(Image, new Ext4Options { ReadOnly = true }))
            {
                Assert.Equal(["lost+found"], session.List("/"));
            }

            Assert.Equal(before, File.ReadAllBytes(Image.FullPath));
        }

        public void Flip(int journalBlock, int offset)
        {
            using FileStream stream = File.Open(Image.FullPath, FileMode.Open);
            stream.Position = Places[journalBlock] * _blockByteSize + offset;
            int value = stream.ReadByte();
            stream.Position--;
            stream.WriteByte((byte)(value ^ 0x10));
        }

        public void Patch(int journalBlock, int offset, uint bigEndian)
        {
            var bytes = new byte[4];
            BinaryPrimitives.WriteUInt32BigEndian(bytes, bigEndian);
            using FileStream stream = File.Open(Image.FullPath, FileMode.Open);
            stream.Position = Places[journalBlock] * _blockByteSize + offset;
            stream.Write(bytes);
        }

        public void Dispose() => Image.Dispose();

        /// <summary>debugfs lists the pointer blocks of an old block map among the data.</summary>
        private void SkipMapBlocks()
        {
            if (!Image.Debugfs("stat <8>").Contains("EXTENTS"))
            {
                Places = Places[..12];
            }
        }
    }
}
