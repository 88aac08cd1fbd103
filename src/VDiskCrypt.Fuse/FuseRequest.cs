using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using VDiskCrypt.Core;
using VDiskCrypt.Interop.Linux.Fuse;
using static VDiskCrypt.Interop.Linux.Fuse.FuseStructs;

namespace VDiskCrypt.Fuse;

/// <summary>
/// One request and its reply, as a handler sees them; reused for every request of one buffer, so that serving one
/// allocates nothing. The transport owns the native memory behind the pointers and keeps it for the life of this object.
/// </summary>
/// <remarks>
/// The payload of the request and the reply may share their memory (with io_uring they do): a handler takes all that it
/// needs from the request before it writes to the reply.
/// </remarks>
internal sealed unsafe class FuseRequest
{
    private byte* _payload;
    private int _payloadByteCount;

    /// <param name="reply">Where the reply's arguments go, without its header.</param>
    /// <param name="replyCapacity">Bytes there.</param>
    public FuseRequest(byte* reply, int replyCapacity)
    {
        Reply = reply;
        ReplyCapacity = replyCapacity;
        Directory = new DirectoryReply();
    }

    public byte* Reply { get; }

    public int ReplyCapacity { get; }

    public DirectoryReply Directory { get; }

    /// <summary>A copy: the reply may overwrite the header's memory.</summary>
    public fuse_in_header Header;

    /// <summary>The first fixed argument.</summary>
    public byte* Argument { get; private set; }

    /// <summary>Positive errno, or 0.</summary>
    public int Error { get; private set; }

    public int ReplyByteCount { get; private set; }

    /// <summary>FORGET and its like have no reply.</summary>
    public bool HasReply { get; private set; }

    /// <summary>The inode that the reply makes the kernel hold a reference to, or 0.</summary>
    public ulong ReferencedInode { get; set; }

    public ReadOnlySpan<byte> Payload => new(_payload, _payloadByteCount);

    public void Begin(byte* argument, byte* payload, int payloadByteCount)
    {
        Argument = argument;
        _payload = payload;
        _payloadByteCount = payloadByteCount;
        Error = 0;
        ReplyByteCount = 0;
        HasReply = true;
        ReferencedInode = 0;
        Directory.Clear();
    }

    /// <summary>The fixed argument; the dispatcher has checked that it is all there.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ref readonly T ArgumentAs<T>()
        where T : unmanaged => ref *(T*)Argument;

    /// <summary>Takes a name that ends in a zero byte off the front of the payload.</summary>
    /// <returns>False when it has no end or is empty: the request is malformed.</returns>
    public bool TryTakeName(out ReadOnlySpan<byte> name)
    {
        ReadOnlySpan<byte> payload = Payload;
        int length = payload.IndexOf((byte)0);
        if (length <= 0)
        {
            name = default;
            return false;
        }

        name = payload[..length];
        _payload += length + 1;
        _payloadByteCount -= length + 1;
        return true;
    }

    public void Fail(int errno)
    {
        Error = errno;
        ReplyByteCount = 0;
    }

    public void Complete(FileSystemError error) => Fail(ErrnoTable.Of(error));

    /// <summary>The reply is what already lies at its start.</summary>
    public void Succeed(int replyByteCount)
    {
        Error = 0;
        ReplyByteCount = replyByteCount;
    }

    /// <summary>The reply's memory as a zeroed struct, which becomes the whole reply.</summary>
    public ref T SucceedWith<T>()
        where T : unmanaged
    {
        Succeed(sizeof(T));
        NativeMemory.Clear(Reply, (nuint)sizeof(T));
        return ref *(T*)Reply;
    }

    public void SucceedSilently()
    {
        HasReply = false;
        Error = 0;
        ReplyByteCount = 0;
    }
}
