using System.Security.Cryptography;
using VDiskCrypt.Core;

namespace VDiskCrypt.Luks;

public sealed partial class LuksVolumeDevice
{
    /// <summary>Reads the cipher blocks around the range, a piece at a time.</summary>
    private void ReadUnaligned(long byteOffset, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            int before = (int)(byteOffset % CipherBlock);
            int wanted = Math.Min(destination.Length, PieceByteSize - before);
            int around = (before + wanted + CipherBlock - 1) / CipherBlock * CipherBlock;
            using AlignedBuffer buffer = AlignedBuffer.Rent(around);
            _device.Read(_dataByteOffset + byteOffset - before, buffer.Span);
            Transform(false, byteOffset - before, buffer.Span, buffer.Span);
            buffer.Span.Slice(before, wanted).CopyTo(destination);
            byteOffset += wanted;
            destination = destination[wanted..];
        }
    }

    /// <summary>A fragment up to the first cipher block, whole blocks, and a fragment behind them.</summary>
    private void WriteUnaligned(long byteOffset, ReadOnlySpan<byte> source, bool forceUnitAccess)
    {
        int head = (int)Math.Min((CipherBlock - (byteOffset % CipherBlock)) % CipherBlock, source.Length);
        if (head > 0)
        {
            WriteFragment(byteOffset, source[..head], forceUnitAccess);
            byteOffset += head;
            source = source[head..];
        }

        int whole = source.Length / CipherBlock * CipherBlock;
        if (whole > 0)
        {
            WriteBlocks(byteOffset, source[..whole], whole, forceUnitAccess);
            byteOffset += whole;
            source = source[whole..];
        }

        if (!source.IsEmpty)
        {
            WriteFragment(byteOffset, source, forceUnitAccess);
        }
    }

    /// <summary>Bytes inside one cipher block: reads it, changes it and writes it while no other write touches it.</summary>
    private void WriteFragment(long byteOffset, ReadOnlySpan<byte> source, bool forceUnitAccess)
    {
        int before = (int)(byteOffset % CipherBlock);
        long start = byteOffset - before;
        Span<byte> block = stackalloc byte[CipherBlock];
        _writes.EnterExclusive(start, start + CipherBlock);
        try
        {
            _device.Read(_dataByteOffset + start, block);
            Transform(false, start, block, block);
            source.CopyTo(block[before..]);
            Transform(true, start, block, block);
            _device.Write(_dataByteOffset + start, block, forceUnitAccess);
        }
        finally
        {
            _writes.LeaveExclusive(start, start + CipherBlock);
            CryptographicOperations.ZeroMemory(block);
        }
    }
}
