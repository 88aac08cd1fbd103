using VDiskCrypt.Ext4.Allocation;
using VDiskCrypt.Ext4.Cache;

namespace VDiskCrypt.Ext4.Transactions;

/// <summary>
/// A set of metadata changes that reach the device together: the blocks that it changes (each pinned), the groups whose
/// counters it changes, the blocks that it frees (reusable only once it is committed), the metadata blocks that it
/// revokes, and the data writes that must end before it may commit.
/// </summary>
internal sealed class Transaction(ulong id)
{
    /// <summary>Revoked block numbers that one block of a log holds at the least.</summary>
    private const int RevokesPerBlock = 120;

    private readonly Lock _lock = new();
    private int _pendingDataCount;

    public ulong Id { get; } = id;

    /// <summary>Changed blocks. Read only once no handle is left.</summary>
    public List<MetadataBlock> Blocks { get; } = [];

    public List<BlockGroup> Groups { get; } = [];

    public List<(ulong Start, uint Count)> FreedRanges { get; } = [];

    /// <summary>Freed metadata blocks: an older version in a journal must not be replayed over their next use.</summary>
    public List<ulong> RevokedBlocks { get; } = [];

    /// <summary>How many blocks it takes in a log, at the most, and a few.</summary>
    public int BlockCount
    {
        get
        {
            lock (_lock)
            {
                return Blocks.Count + RevokedBlocks.Count / RevokesPerBlock;
            }
        }
    }

    public bool IsEmpty => Blocks.Count == 0 && Groups.Count == 0;

    public void AddBlock(MetadataBlock block)
    {
        lock (_lock)
        {
            Blocks.Add(block);
        }
    }

    public void AddGroup(BlockGroup group)
    {
        lock (_lock)
        {
            Groups.Add(group);
        }
    }

    public void AddFreedRange(ulong start, uint count)
    {
        lock (_lock)
        {
            FreedRanges.Add((start, count));
        }
    }

    public void AddRevokedBlock(ulong block)
    {
        lock (_lock)
        {
            RevokedBlocks.Add(block);
        }
    }

    /// <summary>A data write into blocks that this transaction makes visible has begun.</summary>
    public void BeginData() => Interlocked.Increment(ref _pendingDataCount);

    public void EndData()
    {
        if (Interlocked.Decrement(ref _pendingDataCount) == 0)
        {
            lock (this)
            {
                Monitor.PulseAll(this);
            }
        }
    }

    /// <summary>Ordered mode: the data is on the device before the metadata that points to it.</summary>
    public void WaitForData()
    {
        lock (this)
        {
            while (Volatile.Read(ref _pendingDataCount) > 0)
            {
                Monitor.Wait(this);
            }
        }
    }
}
