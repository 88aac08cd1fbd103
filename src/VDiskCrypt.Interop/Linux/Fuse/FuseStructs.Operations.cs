using System.Runtime.InteropServices;

namespace VDiskCrypt.Interop.Linux.Fuse;

/// <summary>The arguments and replies of single operations.</summary>
public static partial class FuseStructs
{
    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_mknod_in
    {
        public uint mode;
        public uint rdev;
        public uint umask;
        public uint padding;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_mkdir_in
    {
        public uint mode;
        public uint umask;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_rename_in
    {
        public ulong newdir;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_rename2_in
    {
        public ulong newdir;
        public uint flags;
        public uint padding;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_link_in
    {
        public ulong oldnodeid;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_create_in
    {
        public uint flags;
        public uint mode;
        public uint umask;
        public uint open_flags;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_open_out
    {
        public ulong fh;
        public uint open_flags;
        public int backing_id;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_release_in
    {
        public ulong fh;
        public uint flags;
        public uint release_flags;
        public ulong lock_owner;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_read_in
    {
        public ulong fh;
        public ulong offset;
        public uint size;
        public uint read_flags;
        public ulong lock_owner;
        public uint flags;
        public uint padding;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_write_in
    {
        public ulong fh;
        public ulong offset;
        public uint size;
        public uint write_flags;
        public ulong lock_owner;
        public uint flags;
        public uint padding;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_write_out
    {
        public uint size;
        public uint padding;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_fsync_in
    {
        public ulong fh;
        public uint fsync_flags;
        public uint padding;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_setxattr_in
    {
        public uint size;
        public uint flags;
        public uint setxattr_flags;
        public uint padding;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_getxattr_in
    {
        public uint size;
        public uint padding;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_getxattr_out
    {
        public uint size;
        public uint padding;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_fallocate_in
    {
        public ulong fh;
        public ulong offset;
        public ulong length;
        public uint mode;
        public uint padding;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_lseek_in
    {
        public ulong fh;
        public ulong offset;
        public uint whence;
        public uint padding;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_lseek_out
    {
        public ulong offset;
    }

    /// <summary>struct fuse_dirent without its name, which follows.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_dirent
    {
        public ulong ino;
        public ulong off;
        public uint namelen;
        public uint type;
    }

    /// <summary>struct fuse_direntplus without its name, which follows.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_direntplus
    {
        public fuse_entry_out entry_out;
        public fuse_dirent dirent;
    }
}
