using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace VDiskCrypt.Interop.Linux.Fuse;

/// <summary>FUSE over io_uring (protocol 7.42), and the notification that a queue is woken with.</summary>
public static partial class FuseStructs
{
    /// <summary>sizeof of in_out and op_in: FUSE_URING_IN_OUT_HEADER_SZ, FUSE_URING_OP_IN_OUT_SZ.</summary>
    public const int FUSE_URING_HEADER_SZ = 128;

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_uring_ent_in_out
    {
        public ulong flags;
        public ulong commit_id;
        public uint payload_sz;
        public uint padding;
        public ulong reserved;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_uring_req_header
    {
        /// <summary>struct fuse_in_header of a request, struct fuse_out_header of its reply.</summary>
        public header_bytes in_out;

        /// <summary>The first fixed argument of a request.</summary>
        public header_bytes op_in;

        public fuse_uring_ent_in_out ring_ent_in_out;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_uring_cmd_req
    {
        public ulong flags;
        public ulong commit_id;
        public ushort qid;
        public padding_6 padding;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct fuse_notify_retrieve_out
    {
        public ulong notify_unique;
        public ulong nodeid;
        public ulong offset;
        public uint size;
        public uint padding;
    }

    [InlineArray(FUSE_URING_HEADER_SZ)]
    public struct header_bytes
    {
        private byte _element;
    }

    [InlineArray(6)]
    public struct padding_6
    {
        private byte _element;
    }
}
