using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace VDiskCrypt.Interop.Linux.Fuse;

/// <summary>Attributes of inodes, of entries and of the filesystem.</summary>
public static partial class FuseStructs
{
    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_attr
    {
        public ulong ino;
        public ulong size;
        public ulong blocks;
        public ulong atime;
        public ulong mtime;
        public ulong ctime;
        public uint atimensec;
        public uint mtimensec;
        public uint ctimensec;
        public uint mode;
        public uint nlink;
        public uint uid;
        public uint gid;
        public uint rdev;
        public uint blksize;
        public uint flags;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_entry_out
    {
        public ulong nodeid;
        public ulong generation;
        public ulong entry_valid;
        public ulong attr_valid;
        public uint entry_valid_nsec;
        public uint attr_valid_nsec;
        public fuse_attr attr;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_getattr_in
    {
        public uint getattr_flags;
        public uint dummy;
        public ulong fh;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_attr_out
    {
        public ulong attr_valid;
        public uint attr_valid_nsec;
        public uint dummy;
        public fuse_attr attr;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_setattr_in
    {
        public uint valid;
        public uint padding;
        public ulong fh;
        public ulong size;
        public ulong lock_owner;
        public ulong atime;
        public ulong mtime;
        public ulong ctime;
        public uint atimensec;
        public uint mtimensec;
        public uint ctimensec;
        public uint mode;
        public uint unused4;
        public uint uid;
        public uint gid;
        public uint unused5;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_kstatfs
    {
        public ulong blocks;
        public ulong bfree;
        public ulong bavail;
        public ulong files;
        public ulong ffree;
        public uint bsize;
        public uint namelen;
        public uint frsize;
        public uint padding;
        public spare_6 spare;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_sx_time
    {
        public long tv_sec;
        public uint tv_nsec;
        public int __reserved;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_statx
    {
        public uint mask;
        public uint blksize;
        public ulong attributes;
        public uint nlink;
        public uint uid;
        public uint gid;
        public ushort mode;
        public ushort __spare0;
        public ulong ino;
        public ulong size;
        public ulong blocks;
        public ulong attributes_mask;
        public fuse_sx_time atime;
        public fuse_sx_time btime;
        public fuse_sx_time ctime;
        public fuse_sx_time mtime;
        public uint rdev_major;
        public uint rdev_minor;
        public uint dev_major;
        public uint dev_minor;
        public spare_long_14 __spare2;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_statx_in
    {
        public uint getattr_flags;
        public uint reserved;
        public ulong fh;
        public uint sx_flags;
        public uint sx_mask;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_statx_out
    {
        public ulong attr_valid;
        public uint attr_valid_nsec;
        public uint flags;
        public spare_long_2 spare;
        public fuse_statx stat;
    }

    [InlineArray(6)]
    public struct spare_6
    {
        private uint _element;
    }

    [InlineArray(2)]
    public struct spare_long_2
    {
        private ulong _element;
    }

    [InlineArray(14)]
    public struct spare_long_14
    {
        private ulong _element;
    }
}
