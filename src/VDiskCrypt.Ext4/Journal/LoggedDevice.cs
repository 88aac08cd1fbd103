using VDiskCrypt.Core;

namespace VDiskCrypt.Ext4.Journal;

/// <summary>
/// The device as it would read if the log were replayed: blocks that the log holds come from there. It is what the cache
/// of metadata reads through, and a dirty filesystem that may not be written.
/// </summary>
internal sealed class LoggedDevice(IBlockDevice device, Journal journal, int blockByteSize) : IBlockDevice
{
    public long ByteLength => device.ByteLength;

    public int BlockByteSize => device.BlockByteSize;

    public bool IsReadOnly => true;

    public void Read(long byteOffset, Span<byte> destination)
    {
        if (journal.Map.Count == 0)
        {
            device.Read(byteOffset, destination);
            return;
        }

        for (int done = 0; done < destination.Length;)
        {
            long position = byteOffset + done;
            var block = (ulong)(position / blockByteSize);
            var within = (int)(position % blockByteSize);
            Span<byte> rest = destination[done..];
            if (journal.Map.TryGet(block, out LoggedBlock logged))
            {
                Span<byte> part = rest[..Math.Min(rest.Length, blockByteSize - within)];
                ReadBlock(block, logged, within, part);
                done += part.Length;
            }
            else
            {
                Span<byte> part = rest[..PlainByteCount(block, within, rest.Length)];
                device.Read(position, part);
                done += part.Length;
            }
        }
    }

    public void Write(long byteOffset, ReadOnlySpan<byte> source, bool forceUnitAccess = false) => throw Refuse();

    public void Flush()
    {
    }

    public void Discard(long byteOffset, long byteCount)
    {
    }

    public void WriteZeroes(long byteOffset, long byteCount) => throw Refuse();

    /// <summary>The device below is the caller's.</summary>
    public void Dispose()
    {
    }

    /// <summary>How many bytes from a block on come from the device itself.</summary>
    private int PlainByteCount(ulong block, int within, int limit)
    {
        int count = blockByteSize - within;
        while (count < limit && !journal.Map.TryGet(++block, out _))
        {
            count += blockByteSize;
        }

        return Math.Min(count, limit);
    }

    private void ReadBlock(ulong block, LoggedBlock logged, int within, Span<byte> destination)
    {
        using AlignedBuffer buffer = AlignedBuffer.Rent(blockByteSize);
        while (true)
        {
            journal.ReadLogged(logged, buffer.Span);

            // A checkpoint may have brought the block to its place and given its part of the log to a newer transaction.
            if (journal.Map.IsCurrent(block, logged))
            {
                buffer.Span.Slice(within, destination.Length).CopyTo(destination);
                return;
            }

            if (!journal.Map.TryGet(block, out logged))
            {
                device.Read((long)block * blockByteSize + within, destination);
                return;
            }
        }
    }

    private static VDiskException Refuse() =>
        new(FailureKind.ReadOnly, "the filesystem's journal is not replayed: nothing can be written");
}
