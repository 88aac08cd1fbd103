using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace VDiskCrypt.Interop.Linux.Fuse;

/// <summary>The structs of linux/fuse.h under their own names, fields included: headers and INIT.</summary>
public static partial class FuseStructs
{
    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_in_header
    {
        public uint len;
        public fuse_opcode opcode;
        public ulong unique;
        public ulong nodeid;
        public uint uid;
        public uint gid;
        public uint pid;
        public ushort total_extlen;
        public ushort padding;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_out_header
    {
        public uint len;
        public int error;
        public ulong unique;
    }

    /// <summary>With <see cref="fuse_out_header.error"/> as the code and no request: a negative off means attributes only.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_notify_inval_inode_out
    {
        public ulong ino;
        public long off;
        public long len;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_init_in
    {
        public uint major;
        public uint minor;
        public uint max_readahead;
        public uint flags;
        public uint flags2;
        public unused_11 unused;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_init_out
    {
        public uint major;
        public uint minor;
        public uint max_readahead;
        public uint flags;
        public ushort max_background;
        public ushort congestion_threshold;
        public uint max_write;
        public uint time_gran;
        public ushort max_pages;
        public ushort map_alignment;
        public uint flags2;
        public uint max_stack_depth;
        public ushort request_timeout;
        public unused_short_11 unused;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_forget_in
    {
        public ulong nlookup;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_forget_one
    {
        public ulong nodeid;
        public ulong nlookup;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_batch_forget_in
    {
        public uint count;
        public uint dummy;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_interrupt_in
    {
        public ulong unique;
    }

    [InlineArray(11)]
    public struct unused_11
    {
        private uint _element;
    }

    [InlineArray(11)]
    public struct unused_short_11
    {
        private ushort _element;
    }
}
