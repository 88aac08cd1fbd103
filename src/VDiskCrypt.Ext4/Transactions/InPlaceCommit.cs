using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Cache;

namespace VDiskCrypt.Ext4.Transactions;

/// <summary>
/// Commits without a journal: the blocks go to their own places. While it is in use the superblock says that the
/// filesystem was not unmounted cleanly, since a crash between two blocks leaves something for e2fsck.
/// </summary>
internal sealed class InPlaceCommit(
    IBlockDevice device, FlushGate flushes, int blockByteSize, int maximumTransactionBlockCount) : CommitTarget
{
    private const int StagingByteCount = 1 << 20;

    public override int MaximumTransactionBlockCount => maximumTransactionBlockCount;

    // Order: 1. data went to the device before (the log waited for it); 2. all changed blocks, ascending; 3. flush.
    public override void Write(Transaction transaction)
    {
        WriteBlocks(transaction);
        flushes.Flush();
    }

    public override void Tend()
    {
        // Nothing waits: each commit is in place.
    }

    public override void Close() => flushes.Flush();

    public override void Abandon()
    {
        // The superblock's state is all there is, and it says "in use".
    }

    /// <summary>Writes the transaction's blocks to their places, neighbours in one request.</summary>
    private void WriteBlocks(Transaction transaction)
    {
        List<MetadataBlock> blocks = transaction.Blocks;
        blocks.Sort(static (left, right) => left.Number.CompareTo(right.Number));
        using AlignedBuffer staging = AlignedBuffer.Rent(StagingByteCount);
        int capacity = StagingByteCount / blockByteSize;
        int count = 0;
        ulong first = 0;
        foreach (MetadataBlock block in blocks)
        {
            if (block.ForgottenIn == transaction)
            {
                continue;
            }

            if (count > 0 && (count == capacity || block.Number != first + (ulong)count))
            {
                device.Write((long)first * blockByteSize, staging.Span[..(count * blockByteSize)]);
                count = 0;
            }

            if (count == 0)
            {
                first = block.Number;
            }

            TransactionLog.CopyCommitted(block, transaction, staging.Span.Slice(count * blockByteSize, blockByteSize));
            count++;
        }

        if (count > 0)
        {
            device.Write((long)first * blockByteSize, staging.Span[..(count * blockByteSize)]);
        }
    }
}
