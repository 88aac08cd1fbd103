using System.Diagnostics;
using VDiskCrypt.Core;
using VDiskCrypt.Interop.Linux;
using VDiskCrypt.Testing;

namespace VDiskCrypt.Images.Tests;

public sealed class HostFileTests
{
    [Fact]
    public void A_missing_file_is_not_found()
    {
        using var scratch = new ScratchFolder();
        foreach (HostFileMode mode in (HostFileMode[])[HostFileMode.ReadOnly, HostFileMode.ReadWrite])
        {
            VDiskException failure = Assert.Throws<VDiskException>(() => HostFile.Open(scratch["none"], mode));
            Assert.Equal(FailureKind.NotFound, failure.Kind);
            Assert.Contains(scratch["none"], failure.Where);
        }
    }

    [Fact]
    public void Creating_is_exclusive_and_private()
    {
        using var scratch = new ScratchFolder();
        using (HostFile.Open(scratch["a"], HostFileMode.CreateNew))
        {
        }

        Assert.Equal("600", ExternalTool.Run("stat", "-c", "%a", scratch["a"]).Succeeded().Output.Trim());
        Assert.Equal(
            FailureKind.Usage, Assert.Throws<VDiskException>(() => HostFile.Open(scratch["a"], HostFileMode.CreateNew)).Kind);
        HostFile.FsyncDirectory(scratch["a"]);
    }

    [Fact]
    public void Neither_pipe_nor_folder_nor_character_device_is_an_image()
    {
        using var scratch = new ScratchFolder();
        ExternalTool.Run("mkfifo", scratch["pipe"]).Succeeded();
        var clock = Stopwatch.StartNew();
        foreach (string path in (string[])[scratch["pipe"], scratch.FullPath, "/dev/zero"])
        {
            Assert.Equal(FailureKind.Usage, Assert.Throws<VDiskException>(() => HostFile.Open(path, HostFileMode.ReadOnly)).Kind);
        }

        Assert.True(clock.ElapsedMilliseconds < 5000);
    }

    [Fact]
    public void Reads_back_what_was_written_durably_or_not()
    {
        using var scratch = new ScratchFolder();
        using HostFile file = HostFile.Open(scratch["a"], HostFileMode.CreateNew);
        byte[] bytes = Pattern.Sparse(100_000 / 512 * 512, 1);
        file.Write(777, bytes);
        file.Write(777 + bytes.Length, [1, 2, 3], forceUnitAccess: true);
        file.Flush();
        Assert.Equal(777 + bytes.Length + 3, file.ByteLength);
        byte[] read = new byte[bytes.Length + 3];
        file.Read(777, read);
        Assert.Equal([.. bytes, 1, 2, 3], read);
    }

    [Fact]
    public void Reading_behind_the_end_says_where_the_file_ends()
    {
        using var scratch = new ScratchFolder();
        using HostFile file = HostFile.Open(scratch["a"], HostFileMode.CreateNew);
        file.SetLength(1000);
        VDiskException failure = Assert.Throws<VDiskException>(() => file.Read(900, new byte[200]));
        Assert.Equal(FailureKind.Damaged, failure.Kind);
        Assert.Contains("at byte 1000", failure.Where);
        Assert.Contains("100 bytes too early", failure.Message);
    }

    [Fact]
    public void Writing_to_a_file_open_for_reading_is_refused()
    {
        using var scratch = new ScratchFolder();
        File.WriteAllBytes(scratch["a"], new byte[4096]);
        using HostFile file = HostFile.Open(scratch["a"], HostFileMode.ReadOnly);
        foreach (Action change in (Action[])
        [
            () => file.Write(0, [1]), () => file.SetLength(1), () => file.PunchHole(0, 1), () => file.ZeroRange(0, 1),
            () => file.Allocate(0, 1),
        ])
        {
            Assert.Equal(FailureKind.ReadOnly, Assert.Throws<VDiskException>(change).Kind);
        }

        file.Flush();
        Assert.Equal(4096, file.ByteLength);
    }

    [Fact]
    public void Holes_give_space_back_and_read_as_zeros()
    {
        using var scratch = new ScratchFolder();
        using HostFile file = HostFile.Open(scratch["a"], HostFileMode.CreateNew);
        byte[] bytes = new byte[4 << 20];
        bytes.AsSpan().Fill(7);
        file.Write(0, bytes);
        file.Flush();
        long before = AllocatedByteCount(scratch["a"]);
        file.PunchHole(1 << 20, 1 << 20);
        file.ZeroRange((3 << 20) + 100, 1000);
        file.Read(0, bytes);
        Assert.False(bytes.AsSpan(1 << 20, 1 << 20).ContainsAnyExcept((byte)0));
        Assert.False(bytes.AsSpan((3 << 20) + 100, 1000).ContainsAnyExcept((byte)0));
        Assert.Equal(7, bytes[(3 << 20) + 99]);
        Assert.Equal(7, bytes[(3 << 20) + 1100]);
        Assert.Equal(4 << 20, file.ByteLength);
        Assert.Equal(1 << 20, before - AllocatedByteCount(scratch["a"]));
        Assert.Equal(1 << 20, file.Seek(0, SeekTarget.Hole));
        Assert.Equal(2 << 20, file.Seek(1 << 20, SeekTarget.Data));
        Assert.Equal(4 << 20, file.Seek(2 << 20, SeekTarget.Hole));
        Assert.Equal(-1, file.Seek(4 << 20, SeekTarget.Data));
    }

    [Fact]
    public void Allocation_takes_the_hosts_space()
    {
        using var scratch = new ScratchFolder();
        using HostFile file = HostFile.Open(scratch["a"], HostFileMode.CreateNew);
        Assert.True(file.Allocate(0, 3 << 20));
        Assert.Equal(3 << 20, file.ByteLength);
        Assert.True(AllocatedByteCount(scratch["a"]) >= 3 << 20);
    }

    [Fact]
    public void A_full_host_is_reported_as_no_space()
    {
        Assert.SkipUnless(Environment.UserName == "root", "needs root, to mount a small tmpfs");
        using var scratch = new ScratchFolder();
        ExternalTool.Bash("mount -t tmpfs -o size=1m none \"$1\"", scratch.FullPath).Succeeded();
        try
        {
            using (HostFile file = HostFile.Open(scratch["a"], HostFileMode.CreateNew))
            {
                VDiskException failure = Assert.Throws<VDiskException>(() => file.Write(0, new byte[2 << 20]));
                Assert.Equal(FailureKind.NoSpace, failure.Kind);
                Assert.Contains(scratch["a"], failure.Where);
            }

            ExternalTool.Bash("mount -o remount,ro \"$1\"", scratch.FullPath).Succeeded();
            Assert.Equal(
                FailureKind.ReadOnly, Assert.Throws<VDiskException>(() => HostFile.Open(scratch["a"], HostFileMode.ReadWrite)).Kind);
        }
        finally
        {
            ExternalTool.Bash("umount \"$1\"", scratch.FullPath).Succeeded();
        }
    }

    [Fact]
    public void A_block_device_has_its_size_and_cannot_grow()
    {
        Assert.SkipUnless(Environment.UserName == "root", "needs root, for a loop device");
        using var scratch = new ScratchFolder();
        File.WriteAllBytes(scratch["a"], new byte[5 << 20]);
        string device = ExternalTool.Bash("losetup --sector-size 4096 -f --show \"$1\"", scratch["a"]).Succeeded().Output.Trim();
        try
        {
            using HostFile file = HostFile.Open(device, HostFileMode.ReadWrite);
            Assert.True(file.IsBlockDevice);
            Assert.Equal(5 << 20, file.ByteLength);
            Assert.Equal(4096, file.SectorByteSize);
            file.Write(4096, [1, 2, 3], forceUnitAccess: true);
            file.ZeroRange(4097, 1);
            byte[] read = new byte[3];
            file.Read(4096, read);
            Assert.Equal([1, 0, 3], read);
            Assert.Equal(FailureKind.NoSpace, Assert.Throws<VDiskException>(() => file.SetLength(6 << 20)).Kind);
            using DiskImage image = ImageFormats.Open(device, ImageAccess.ReadOnly);
            Assert.Equal(ImageFormat.Raw, image.Format);
            Assert.Equal(5 << 20, image.ByteLength);
        }
        finally
        {
            ExternalTool.Bash("losetup -d \"$1\"", device).Succeeded();
        }
    }

    [Theory]
    [InlineData(Errno.ENOSPC, FailureKind.NoSpace)]
    [InlineData(Errno.EDQUOT, FailureKind.NoSpace)]
    [InlineData(Errno.EIO, FailureKind.InputOutput)]
    [InlineData(Errno.EACCES, FailureKind.NotPermitted)]
    [InlineData(Errno.EPERM, FailureKind.NotPermitted)]
    [InlineData(Errno.ENOENT, FailureKind.NotFound)]
    [InlineData(Errno.EROFS, FailureKind.ReadOnly)]
    [InlineData(Errno.EBUSY, FailureKind.InUse)]
    public void Error_numbers_become_kinds(int errno, FailureKind kind) =>
        Assert.Equal(kind, HostError.FromErrno(errno, "read", "file", 5).Kind);

    [Fact]
    public unsafe void Structures_have_the_layout_of_the_c_compiler()
    {
        ExternalTool.Require("gcc");
        using var scratch = new ScratchFolder();
        File.WriteAllText(scratch["layout.c"], """
            #define _GNU_SOURCE
            #include <fcntl.h>
            #include <linux/fs.h>
            #include <stddef.h>
            #include <stdio.h>
            #include <sys/ioctl.h>
            #include <sys/stat.h>
            #include <sys/uio.h>
            int main(void) {
              printf("%zu %zu %zu %zu ", sizeof(struct flock), offsetof(struct flock, l_whence), offsetof(struct flock, l_start), offsetof(struct flock, l_len));
              printf("%zu %zu ", sizeof(struct iovec), offsetof(struct iovec, iov_len));
              printf("%zu %zu %zu %zu %zu %zu %zu %zu %zu ", sizeof(struct statx), offsetof(struct statx, stx_mode), offsetof(struct statx, stx_ino), offsetof(struct statx, stx_size), offsetof(struct statx, stx_dev_major), offsetof(struct statx, stx_dev_minor), offsetof(struct statx, stx_atime), offsetof(struct statx, stx_mtime), offsetof(struct statx, stx_mtime.tv_nsec));
              printf("%ld %d %d %d %d %d %d", (long)BLKGETSIZE64, BLKSSZGET, F_OFD_GETLK, F_OFD_SETLK, O_CLOEXEC, O_EXCL, RWF_DSYNC);
            }
            """);
        ExternalTool.Run("gcc", "-o", scratch["layout"], scratch["layout.c"]).Succeeded();
        string expected = ExternalTool.Run(scratch["layout"]).Succeeded().Output;
        Libc.flock64 flock;
        Libc.file_iovec iovec;
        statx_t statx;
        long Offset(void* start, void* field) => (byte*)field - (byte*)start;
        Assert.Equal(
            expected,
            string.Join(' ', new long[]
            {
                sizeof(Libc.flock64), Offset(&flock, &flock.l_whence), Offset(&flock, &flock.l_start), Offset(&flock, &flock.l_len),
                sizeof(Libc.file_iovec), Offset(&iovec, &iovec.iov_len),
                sizeof(statx_t), Offset(&statx, &statx.stx_mode), Offset(&statx, &statx.stx_ino),
                Offset(&statx, &statx.stx_size), Offset(&statx, &statx.stx_dev_major), Offset(&statx, &statx.stx_dev_minor),
                Offset(&statx, &statx.stx_atime), Offset(&statx, &statx.stx_mtime), Offset(&statx, &statx.stx_mtime.tv_nsec),
                (long)Libc.BLKGETSIZE64, (long)Libc.BLKSSZGET, Libc.F_OFD_GETLK, Libc.F_OFD_SETLK, Libc.O_CLOEXEC, Libc.O_EXCL,
                Libc.RWF_DSYNC,
            }));
    }

    private static long AllocatedByteCount(string path) =>
        512 * long.Parse(ExternalTool.Run("stat", "-c", "%b", path).Succeeded().Output);

    [Fact]
    public void Of_many_that_publish_under_one_name_one_wins_and_is_not_replaced()
    {
        using var scratch = new ScratchFolder();
        for (int round = 0; round < 200; round++)
        {
            string path = scratch[$"name{round}"];
            string[] partials = [.. Enumerable.Range(0, 4).Select(i => $"{path}.{i}")];
            Array.ForEach(partials, partial => File.WriteAllText(partial, partial));
            using var start = new Barrier(partials.Length);
            var winners = new System.Collections.Concurrent.ConcurrentBag<string>();
            Thread[] threads = [.. partials.Select(partial => new Thread(() =>
            {
                start.SignalAndWait();
                try
                {
                    HostFile.Publish(partial, path);
                    winners.Add(partial);
                }
                catch (VDiskException failure) when (failure.Kind == FailureKind.Usage)
                {
                    // Another was first.
                }
            }))];
            Array.ForEach(threads, thread => thread.Start());
            Array.ForEach(threads, thread => thread.Join());
            Assert.Equal(Assert.Single(winners), File.ReadAllText(path));
        }
    }
}
