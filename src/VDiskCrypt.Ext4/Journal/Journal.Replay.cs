using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Cache;

namespace VDiskCrypt.Ext4.Journal;

/// <content>Recovery, and bringing blocks from the log to their places.</content>
internal sealed partial class Journal
{
    private const int StagingByteCount = 1 << 20;

    /// <summary>The next transaction's number, after <see cref="Recover"/>.</summary>
    public uint NextSequence { get; private set; }

    /// <summary>What a user should know about the recovery; null for nothing.</summary>
    public string? RecoveryNotice { get; private set; }

    /// <summary>Reads the log into <see cref="Map"/>; the device is not changed.</summary>
    public void Recover()
    {
        JournalSuperblockOnDisk superblock = Superblock;
        if (superblock.Start == 0)
        {
            NextSequence = superblock.Sequence;
            return;
        }

        var scan = new JournalScan(this, _area, _geometry);
        scan.Run(superblock.Start, superblock.Sequence, Map);

        // One number is left out: what is in the log of an interrupted transaction never gets a commit block that fits.
        NextSequence = scan.Sequence + 1;
        if (scan.LostLast)
        {
            RecoveryNotice = $"the journal's last transaction ({scan.Sequence}) was damaged and not replayed";
        }
    }

    /// <summary>
    /// Empties the log. Order: 1. all blocks to their places; 2. flush; 3. the superblock says that the log is empty,
    /// durable. Interrupted anywhere it is done again.
    /// </summary>
    public void Replay()
    {
        WriteInPlace(null);
        Device.Flush();
        Map.Clear();
        StoreTail(0, NextSequence, forceUnitAccess: true);
    }

    /// <summary>Leaves what the log holds out: the filesystem says that it needs none of it.</summary>
    public void Wipe()
    {
        Map.Clear();
        StoreTail(0, NextSequence, forceUnitAccess: true);
    }

    /// <summary>Writes every block of <see cref="Map"/> in its committed version to its place, neighbours in one request.</summary>
    /// <param name="cache">Where blocks that no transaction changes can be taken from; null: all from the log.</param>
    public void WriteInPlace(BlockCache? cache)
    {
        int blockByteSize = _geometry.BlockByteSize;
        using AlignedBuffer staging = AlignedBuffer.Rent(StagingByteCount);
        int capacity = StagingByteCount / blockByteSize;
        int count = 0;
        ulong first = 0;
        foreach ((ulong block, LoggedBlock logged) in Map.Sorted())
        {
            if (count > 0 && (count == capacity || block != first + (ulong)count))
            {
                Device.Write((long)first * blockByteSize, staging.Span[..(count * blockByteSize)]);
                count = 0;
            }

            first = count == 0 ? block : first;
            Span<byte> place = staging.Span.Slice(count * blockByteSize, blockByteSize);
            if (cache is null || !TryCopyCommitted(cache, block, place))
            {
                ReadLogged(logged, place);
            }

            count++;
        }

        if (count > 0)
        {
            Device.Write((long)first * blockByteSize, staging.Span[..(count * blockByteSize)]);
        }
    }

    /// <summary>A cached block that is in no transaction has the bytes of the last one that changed it.</summary>
    private static bool TryCopyCommitted(BlockCache cache, ulong number, Span<byte> destination)
    {
        using MetadataBlock? block = cache.TryGet(number);
        if (block is null)
        {
            return false;
        }

        lock (block)
        {
            if (!block.IsLoaded || block.Transaction is not null)
            {
                return false;
            }

            block.Bytes.CopyTo(destination);
            return true;
        }
    }
}
