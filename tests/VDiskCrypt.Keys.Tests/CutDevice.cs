using VDiskCrypt.Core;

namespace VDiskCrypt.Keys.Tests;

/// <summary>An image in memory whose power is cut at a chosen write: that write is done by half or not at all.</summary>
internal sealed class CutDevice(byte[] bytes, int writesUntilCut, bool cutInside) : IBlockDevice
{
    private int _writesLeft = writesUntilCut;

    public byte[] Bytes { get; } = bytes;

    public long ByteLength => Bytes.LongLength;

    public int BlockByteSize => 512;

    public bool IsReadOnly => false;

    public void Read(long byteOffset, Span<byte> destination) => Bytes.AsSpan((int)byteOffset, destination.Length).CopyTo(destination);

    public void Write(long byteOffset, ReadOnlySpan<byte> source, bool forceUnitAccess = false)
    {
        if (_writesLeft-- <= 0)
        {
            _writesLeft = 0;
            if (cutInside)
            {
                source[..(source.Length / 2)].CopyTo(Bytes.AsSpan((int)byteOffset));
            }

            throw new VDiskException(FailureKind.InputOutput, "power cut");
        }

        source.CopyTo(Bytes.AsSpan((int)byteOffset));
    }

    public void Flush()
    {
    }

    public void Discard(long byteOffset, long byteCount)
    {
    }

    public void WriteZeroes(long byteOffset, long byteCount) => Bytes.AsSpan((int)byteOffset, (int)byteCount).Clear();

    public void Dispose()
    {
    }
}
