using System.Text;
using VDiskCrypt.Core;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Ext4.Tests;

public sealed class Ext4FileSystemTests
{
    public static TheoryData<string> Formats => new()
    {
        "-b 1024", "-b 2048", "-b 4096", "-b 4096 -O ^metadata_csum,uninit_bg", "-b 1024 -O ^64bit,^metadata_csum",
        "-b 4096 -O ^has_journal", "-b 4096 -I 128", "-b 4096 -O orphan_file", "-b 4096 -O metadata_csum_seed",
        "-b 1024 -O ^flex_bg,^resize_inode", "-b 4096 -O ^dir_index", "-b 1024 -g 1024",
    };

    [Theory]
    [MemberData(nameof(Formats))]
    public void Files_that_we_write_are_read_by_the_kernel_and_clean(string format)
    {
        using var image = new Ext4Image("64M", format.Split(' '));
        byte[] big = new byte[3_000_123];
        new Random(1).NextBytes(big);
        using (var session = new Session(image))
        {
            session.MakeDirectory("/d");
            session.MakeFile("/d/small", "hello"u8.ToArray());
            ulong file = session.MakeFile("/d/big");
            for (int offset = 0; offset < big.Length; offset += 100_000)
            {
                session.Write(file, offset, big[offset..Math.Min(offset + 100_000, big.Length)]);
            }

            Assert.Equal(big, session.ReadAll("/d/big"));
            Assert.Equal(FileSystemError.None, session.FileSystem.CreateSymbolicLink(
                session.Find("/d"), "fast"u8, "small"u8, default, out _));
            Assert.Equal(FileSystemError.None, session.FileSystem.CreateSymbolicLink(
                session.Find("/d"), "slow"u8, Encoding.UTF8.GetBytes(new string('x', 200)), default, out _));
            session.Make("/d/null", UnixMode.CharacterDevice | 0x1B6, 1, 3);
            session.Make("/d/big-device", UnixMode.BlockDevice | 0x1B6, 259, 70000);
            session.Make("/d/fifo", UnixMode.Fifo | 0x1B6);
            Assert.Equal(FileSystemError.None, session.FileSystem.Link(session.Find("/d/small"), session.Find("/d"), "hard"u8, out _));
        }

        image.AssertClean();
        File.WriteAllBytes(image.Folder["expected"], big);
        string output = image.WithKernel(
            $"cat d/small d/hard; cmp d/big {image.Folder["expected"]}; readlink d/fast d/slow; stat -c '%F %t:%T %h' d/null d/big-device d/fifo d/small",
            isReadOnly: true);
        Assert.Equal(
            "hellohellosmall\n" + new string('x', 200) + "\ncharacter special file 1:3 1\nblock special file 103:11170 1\nfifo 0:0 1\nregular file 0:0 2\n",
            output);
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void Files_that_the_kernel_writes_are_read(string format)
    {
        using var image = new Ext4Image("64M", format.Split(' '));
        image.WithKernel(
            """
            mkdir -p a/b; seq 1 200000 > a/b/numbers; ln -s numbers a/b/link; ln -s $(printf 'y%.0s' $(seq 1 150)) a/slow
            truncate -s 10M a/sparse; echo tail >> a/sparse
            fallocate -l 2M a/unwritten
            for i in $(seq 1 300); do echo $i > a/f$i; done
            mknod a/dev c 5 1
            """);
        using (var session = new Session(image, new Ext4Options { ReadOnly = true }))
        {
            byte[] expected = Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(1, 200000).Select(i => $"{i}\n")));
            Assert.Equal(expected, session.ReadAll("/a/b/numbers"));
            byte[] sparse = session.ReadAll("/a/sparse");
            Assert.Equal(10 * 1024 * 1024 + 5, sparse.Length);
            Assert.Equal("\0tail\n", Encoding.UTF8.GetString(sparse[^6..]));
            Assert.Equal(-1, session.ReadAll("/a/unwritten").AsSpan().IndexOfAnyExcept((byte)0));
            Assert.Equal(300, session.List("/a").Count(name => name[0] == 'f' && name != "fifo"));
            Assert.Equal("300\n", Encoding.UTF8.GetString(session.ReadAll("/a/f300")));
            var target = new byte[4096];
            Assert.Equal(FileSystemError.None, session.FileSystem.ReadLink(session.Find("/a/slow"), target, out int length));
            Assert.Equal(150, length);
            InodeAttributes device = session.Attributes(session.Find("/a/dev"));
            Assert.Equal((5u, 1u), (device.DeviceMajor, device.DeviceMinor));
        }
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void Removed_files_give_all_their_space_back(string format)
    {
        using var image = new Ext4Image("32M", format.Split(' '));
        ulong before;
        using (var session = new Session(image))
        {
            session.MakeDirectory("/warm");
            session.FileSystem.SyncAll();
            before = session.FileSystem.GetStatistics().FreeBlockCount;
            uint inodes = (uint)session.FileSystem.GetStatistics().FreeInodeCount;
            for (int i = 0; i < 50; i++)
            {
                session.MakeFile($"/warm/f{i}", new byte[i * 1000]);
            }

            Assert.Equal(inodes - 50, session.FileSystem.GetStatistics().FreeInodeCount);
            for (int i = 0; i < 50; i++)
            {
                ulong inode = session.Find($"/warm/f{i}");
                Assert.Equal(FileSystemError.None, session.Unlink($"/warm/f{i}"));
                session.FileSystem.Forget(inode, 1000);
                Assert.Equal(FileSystemError.StaleInode, session.FileSystem.GetAttributes(inode, out _));
            }

            session.FileSystem.SyncAll();
            Assert.Equal(inodes, session.FileSystem.GetStatistics().FreeInodeCount);
            Assert.InRange(session.FileSystem.GetStatistics().FreeBlockCount, before - 4, before);
        }

        image.AssertClean();
    }
}
