using VDiskCrypt.Core;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Ext4.Tests;

public sealed class ExtentAndAllocationTests
{
    [Theory]
    [InlineData("-b 1024", 4000)]
    [InlineData("-b 4096", 1500)]
    public void A_fragmented_sparse_file_grows_a_deep_tree_and_shrinks_again(string format, int extents)
    {
        using var image = new Ext4Image("128M", format.Split(' '));
        var random = new Random(7);
        int block = int.Parse(format.Split(' ')[1]);
        int[] order = [.. Enumerable.Range(0, extents)];
        random.Shuffle(order);
        using (var session = new Session(image))
        {
            ulong file = session.MakeFile("/f");
            ulong ordered = session.MakeFile("/ordered");
            foreach (int i in order)
            {
                session.Write(file, (long)i * 3 * block, Pattern(i, block));
            }

            for (int i = 0; i < extents; i++)
            {
                session.Write(ordered, (long)i * 2 * block, Pattern(i, block));
            }

            foreach (int i in order)
            {
                Assert.Equal(Pattern(i, block), session.Read(file, (long)i * 3 * block, block));
            }
        }

        image.AssertClean();
        Assert.Contains(" 2/ 2 ", image.Debugfs("ex /f"));
        using (var session = new Session(image))
        {
            ulong file = session.Find("/f");
            // Every second extent goes, then the rest is truncated in the middle.
            for (int i = 0; i < extents; i += 2)
            {
                Assert.Equal(FileSystemError.None, session.FileSystem.Allocate(
                    file, AllocateFlags.PunchHole | AllocateFlags.KeepSize, (long)i * 3 * block, block));
            }

            Assert.Equal(FileSystemError.None, session.Truncate(file, (long)extents * 3 / 2 * block));
            for (int i = 0; i < extents / 2; i++)
            {
                Assert.Equal(i % 2 == 0 ? new byte[block] : Pattern(i, block), session.Read(file, (long)i * 3 * block, block));
            }
        }

        image.AssertClean();
        using (var session = new Session(image))
        {
            Assert.Equal(FileSystemError.None, session.Unlink("/f"));
            Assert.Equal(FileSystemError.None, session.Unlink("/ordered"));
        }

        image.AssertClean();
    }

    [Fact]
    public void Unwritten_extents_are_converted_in_whole_and_in_part()
    {
        using var image = new Ext4Image("64M", "-b", "4096");
        byte[] expected = new byte[4 << 20];
        using (var session = new Session(image))
        {
            ulong file = session.MakeFile("/f");
            Assert.Equal(FileSystemError.None, session.FileSystem.Allocate(file, AllocateFlags.None, 0, expected.Length));
            Assert.Equal(expected.Length, session.Attributes(file).Size);
            Assert.Equal(expected.Length / 512, session.Attributes(file).Blocks512);
            Assert.Equal(FileSystemError.NoSuchOffset, session.FileSystem.Seek(file, 0, SeekTarget.Data, out _));
            var random = new Random(3);
            for (int i = 0; i < 300; i++)
            {
                int offset = random.Next(expected.Length - 20_000);
                var bytes = new byte[random.Next(1, 20_000)];
                random.NextBytes(bytes);
                session.Write(file, offset, bytes);
                bytes.CopyTo(expected, offset);
            }

            Assert.Equal(expected, session.ReadAll("/f"));
        }

        image.AssertClean();
        File.WriteAllBytes(image.Folder["expected"], expected);
        image.WithKernel($"cmp f {image.Folder["expected"]}", isReadOnly: true);
    }

    [Fact]
    public void A_full_filesystem_says_so_and_takes_files_again_after_deletion()
    {
        using var image = new Ext4Image("16M", "-b", "1024");
        using (var session = new Session(image))
        {
            ulong free = session.FileSystem.GetStatistics().FreeBlockCount;
            for (int round = 0; round < 3; round++)
            {
                var files = new List<string>();
                FileSystemError error = FileSystemError.None;
                for (int i = 0; error == FileSystemError.None; i++)
                {
                    var node = new NewInode { Mode = UnixMode.Regular };
                    byte[] name = System.Text.Encoding.ASCII.GetBytes($"f{i}");
                    error = session.FileSystem.Create(session.FileSystem.RootInode, name, node, out InodeAttributes made);
                    if (error == FileSystemError.None)
                    {
                        files.Add($"/f{i}");
                        error = session.FileSystem.Write(made.Inode, 0, new byte[100_000 + i], out _);
                    }
                }

                Assert.Equal(FileSystemError.NoSpace, error);
                Assert.Equal(0ul, session.FileSystem.GetStatistics().FreeBlockCount);
                Assert.Equal(FileSystemError.NoSpace, session.FileSystem.Create(
                    session.FileSystem.RootInode, "d"u8, new NewInode { Mode = UnixMode.Directory }, out _));
                foreach (string file in files)
                {
                    ulong inode = session.Find(file);
                    Assert.Equal(FileSystemError.None, session.Unlink(file));
                    session.FileSystem.Forget(inode, ulong.MaxValue);
                }

                Assert.InRange(session.FileSystem.GetStatistics().FreeBlockCount, free - 20, free);
            }
        }

        image.AssertClean();
    }

    [Fact]
    public void A_write_that_finds_no_space_uses_what_was_just_freed()
    {
        using var image = new Ext4Image("16M", "-b", "1024");
        using (var session = new Session(image, new Ext4Options { CommitIntervalMs = 600_000 }))
        {
            ulong file = session.MakeFile("/a");
            session.FileSystem.Write(file, 0, new byte[20 << 20], out int written);
            Assert.InRange(written, 8 << 20, 16 << 20);
            Assert.Equal(FileSystemError.None, session.Truncate(file, 0));
            session.Write(file, 0, new byte[written - 100_000]);
        }

        image.AssertClean();
    }

    [Fact]
    public void Blocks_freed_in_an_open_transaction_are_not_given_out()
    {
        using var image = new Ext4Image("64M", "-b", "4096");
        using var session = new Session(image, new Ext4Options { CommitIntervalMs = 600_000 });
        ulong old = session.MakeFile("/old", Pattern(1, 4096));
        session.FileSystem.SyncAll();
        Assert.Equal(FileSystemError.None, session.Truncate(old, 0));
        for (int i = 0; i < 100; i++)
        {
            session.MakeFile($"/new{i}", Pattern(i + 2, 4096));
        }

        // Without a commit the old file must still be there, byte for byte, on the device.
        using FileBlockDevice device = image.OpenDevice(isReadOnly: true);
        using var crashed = Ext4FileSystem.Open(device, new Ext4Options { ReadOnly = true });
        Assert.Equal(FileSystemError.None, crashed.Lookup(crashed.RootInode, "old"u8, out InodeAttributes found));
        var content = new byte[4096];
        Assert.Equal(FileSystemError.None, crashed.Read(found.Inode, 0, content, out int read));
        Assert.Equal(4096, read);
        Assert.Equal(Pattern(1, 4096), content);
    }

    [Fact]
    public void Files_that_grow_side_by_side_stay_in_long_runs()
    {
        using var image = new Ext4Image("256M", "-b", "4096");
        using (var session = new Session(image))
        {
            ulong[] files = [.. Enumerable.Range(0, 4).Select(i => session.MakeFile($"/f{i}"))];
            for (int i = 0; i < 256; i++)
            {
                foreach (ulong file in files)
                {
                    session.Write(file, i * 65536L, Pattern(i, 65536));
                }
            }
        }

        image.AssertClean();
        for (int i = 0; i < 4; i++)
        {
            int extents = image.Debugfs($"ex /f{i}").Split('\n').Count(line => line.Contains(" 0/ 0 ") || line.Contains(" 1/ 1 "));
            Assert.InRange(extents, 1, 24);
        }
    }

    [Fact]
    public void Freed_blocks_are_discarded_only_when_asked()
    {
        using var image = new Ext4Image("64M", "-b", "4096");
        foreach (bool discard in (bool[])[false, true])
        {
            using var session = new Session(image, new Ext4Options { Discard = discard });
            ulong file = session.MakeFile("/f", new byte[1 << 20]);
            Assert.Equal(FileSystemError.None, session.Truncate(file, 4096));
            session.FileSystem.SyncAll();
            Assert.Equal(discard ? (1 << 20) - 4096 : 0, session.Device.DiscardedByteCount);
            Assert.Equal(FileSystemError.None, session.Unlink("/f"));
        }

        image.AssertClean();
    }

    private static byte[] Pattern(int seed, int count)
    {
        var bytes = new byte[count];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
