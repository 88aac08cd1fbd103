namespace VDiskCrypt.Interop.Linux.Fuse;

/// <summary>The other constants of linux/fuse.h.</summary>
public static class FuseConstants
{
    public const uint FUSE_KERNEL_VERSION = 7;
    public const uint FUSE_KERNEL_MINOR_VERSION = 45;
    public const ulong FUSE_ROOT_ID = 1;
    public const int FUSE_MIN_READ_BUFFER = 8192;

    /// <summary>_IOR(229, 0, uint32_t) on x86-64, arm64 and every other architecture of .NET.</summary>
    public const nuint FUSE_DEV_IOC_CLONE = 0x8004E500;

    public const uint FATTR_MODE = 1 << 0;
    public const uint FATTR_UID = 1 << 1;
    public const uint FATTR_GID = 1 << 2;
    public const uint FATTR_SIZE = 1 << 3;
    public const uint FATTR_ATIME = 1 << 4;
    public const uint FATTR_MTIME = 1 << 5;
    public const uint FATTR_ATIME_NOW = 1 << 7;
    public const uint FATTR_MTIME_NOW = 1 << 8;
    public const uint FATTR_CTIME = 1 << 10;
    public const uint FATTR_KILL_SUIDGID = 1 << 11;

    public const uint FUSE_WRITE_CACHE = 1 << 0;
    public const uint FUSE_WRITE_KILL_SUIDGID = 1 << 2;

    public const uint FOPEN_KEEP_CACHE = 1 << 1;

    /// <summary>enum fuse_notify_code: the kernel drops what it keeps of an inode.</summary>
    public const int FUSE_NOTIFY_INVAL_INODE = 2;

    /// <summary>enum fuse_notify_code: the kernel sends cached data of an inode, as a request of its own (NOTIFY_REPLY).</summary>
    public const int FUSE_NOTIFY_RETRIEVE = 5;

    public const uint FUSE_FSYNC_FDATASYNC = 1;
    public const uint FUSE_SETXATTR_ACL_KILL_SGID = 1;

    public const int FUSE_COMPAT_SETXATTR_IN_SIZE = 8;

    /// <summary>offsetof(struct fuse_dirent, name).</summary>
    public const int FUSE_NAME_OFFSET = 24;

    public const uint STATX_BASIC_STATS = 0x7FF;
    public const uint STATX_BTIME = 0x800;

    public const uint SEEK_DATA = 3;
    public const uint SEEK_HOLE = 4;

    public const uint FUSE_IO_URING_CMD_REGISTER = 1;
    public const uint FUSE_IO_URING_CMD_COMMIT_AND_FETCH = 2;
}
