using System.Runtime.InteropServices;

namespace VDiskCrypt.Interop.Linux;

/// <summary>Files and their locks: open(2), pread(2), fallocate(2), fcntl(2), flock(2), statx(2).</summary>
public static unsafe partial class Libc
{
    public const int O_RDONLY = 0;
    public const int O_RDWR = 2;
    public const int O_CREAT = 0x40;
    public const int O_EXCL = 0x80;
    public const int O_NONBLOCK = 0x800;
    public const int O_CLOEXEC = 0x80000;

    public const int SEEK_DATA = 3;
    public const int SEEK_HOLE = 4;

    public const int FALLOC_FL_KEEP_SIZE = 1;
    public const int FALLOC_FL_PUNCH_HOLE = 2;
    public const int FALLOC_FL_ZERO_RANGE = 16;

    public const int RWF_DSYNC = 2;

    public const int LOCK_EX = 2;
    public const int LOCK_NB = 4;
    public const int LOCK_UN = 8;

    public const int F_OFD_GETLK = 36;
    public const int F_OFD_SETLK = 37;
    public const short F_RDLCK = 0;
    public const short F_WRLCK = 1;
    public const short F_UNLCK = 2;

    public const int AT_EMPTY_PATH = 0x1000;
    public const uint STATX_BASIC_STATS = 0x7ff;

    public const uint S_IFMT = 0xF000;
    public const uint S_IFBLK = 0x6000;
    public const uint S_IFREG = 0x8000;

    public const uint RENAME_NOREPLACE = 1;

    public const nuint BLKSSZGET = 0x1268;

    /// <summary>_IOR(0x12, 114, size_t) of a 64-bit machine.</summary>
    public const nuint BLKGETSIZE64 = 0x80081272;

    [LibraryImport(Library, SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int open(string path, int flags, uint mode);

    [LibraryImport(Library, SetLastError = true)]
    public static partial nint pread(SafeHandle fd, byte* buffer, nuint count, long offset);

    [LibraryImport(Library, SetLastError = true)]
    public static partial nint pwrite(SafeHandle fd, byte* buffer, nuint count, long offset);

    [LibraryImport(Library, SetLastError = true)]
    public static partial nint pwritev2(SafeHandle fd, file_iovec* vectors, int count, long offset, int flags);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int fsync(SafeHandle fd);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int fdatasync(SafeHandle fd);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int ftruncate(SafeHandle fd, long length);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int fallocate(SafeHandle fd, int mode, long offset, long length);

    [LibraryImport(Library, SetLastError = true)]
    public static partial long lseek(SafeHandle fd, long offset, int whence);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int flock(SafeHandle fd, int operation);

    [LibraryImport(Library, SetLastError = true, EntryPoint = "fcntl")]
    public static partial int fcntl_lock(SafeHandle fd, int command, flock64* description);

    [LibraryImport(Library, SetLastError = true, EntryPoint = "ioctl")]
    public static partial int ioctl_block(SafeHandle fd, nuint request, void* value);

    [LibraryImport(Library, SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int statx(SafeHandle fd, string path, int flags, uint mask, out statx_t buffer);

    [LibraryImport(Library, SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int renameat2(int oldFolder, string oldPath, int newFolder, string newPath, uint flags);

    /// <summary>struct iovec (the bare name is reserved by the C# language).</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct file_iovec
    {
        public byte* iov_base;
        public nuint iov_len;
    }

    /// <summary>struct flock of a 64-bit machine: the argument of F_OFD_SETLK, whose l_pid must be 0.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct flock64
    {
        public short l_type;
        public short l_whence;
        public long l_start;
        public long l_len;
        public int l_pid;
    }
}
