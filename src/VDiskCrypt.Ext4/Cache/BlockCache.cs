using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4.Cache;

/// <summary>
/// The cache of metadata blocks: shards with a dictionary and an eviction hand each. No shard lock is held across I/O.
/// Blocks that are pinned or part of a transaction stay; the rest is bounded by a byte limit.
/// </summary>
internal sealed unsafe class BlockCache : IDisposable
{
    private const int ShardCount = 32;

    /// <summary>Slots that the eviction hand looks at before it gives up.</summary>
    private const int EvictionScanLimit = 64;

    private readonly IBlockDevice _device;
    private readonly Shard[] _shards = new Shard[ShardCount];
    private readonly int _blockLimit;

    public BlockCache(IBlockDevice device, int blockByteSize, ulong blockCount, int byteLimit)
    {
        _device = device;
        BlockByteSize = blockByteSize;
        BlockCount = blockCount;
        Pool = new BlockPool(blockByteSize);
        _blockLimit = Math.Max(byteLimit / blockByteSize, ShardCount * 4);
        for (int i = 0; i < ShardCount; i++)
        {
            _shards[i] = new Shard();
        }
    }

    public int BlockByteSize { get; }

    public ulong BlockCount { get; }

    /// <summary>How many blocks the cache may hold.</summary>
    public int BlockLimit => _blockLimit;

    public BlockPool Pool { get; }

    /// <summary>The block with its bytes read, pinned.</summary>
    public MetadataBlock Get(ulong number)
    {
        MetadataBlock block = GetPinned(number);
        if (!block.IsLoaded)
        {
            Load(block);
        }

        return block;
    }

    /// <summary>The block with zeroed bytes and without reading, pinned: for one that was just allocated.</summary>
    /// <param name="number">The block.</param>
    /// <param name="kind">What it will be.</param>
    /// <param name="handle">Changes it with this handle; null leaves that to the caller.</param>
    public MetadataBlock GetNew(ulong number, BlockKind kind, TransactionHandle? handle)
    {
        MetadataBlock block = GetPinned(number);
        lock (block)
        {
            handle?.Modify(block);
            block.Bytes.Clear();
            block.VerifiedAs = kind;
            block.IsLoaded = true;
        }

        return block;
    }

    /// <summary>The block if it is cached, pinned.</summary>
    public MetadataBlock? TryGet(ulong number)
    {
        Shard shard = ShardOf(number);
        lock (shard)
        {
            if (!shard.Blocks.TryGetValue(number, out MetadataBlock? block))
            {
                return null;
            }

            block.Pin();
            return block;
        }
    }

    /// <summary>Makes a pinned block unfindable: its number is no longer this metadata.</summary>
    public void Detach(MetadataBlock block)
    {
        Shard shard = ShardOf(block.Number);
        lock (shard)
        {
            if (!block.IsDetached && block.ShardSlot >= 0)
            {
                shard.Remove(block);
                block.IsDetached = true;
            }
        }
    }

    public void Dispose() => Pool.Dispose();

    internal void ReleaseDetached(MetadataBlock block)
    {
        nint data = block.Data;
        block.Data = 0;
        Pool.Return(data);
    }

    private MetadataBlock GetPinned(ulong number)
    {
        if (number >= BlockCount)
        {
            throw VDiskException.Damaged(
                "metadata block", 0, $"block {number} lies outside the filesystem ({BlockCount} blocks)",
                "check the filesystem with e2fsck");
        }

        Shard shard = ShardOf(number);
        lock (shard)
        {
            if (shard.Blocks.TryGetValue(number, out MetadataBlock? block))
            {
                block.Pin();
                block.IsRecent = true;
                return block;
            }

            if (Pool.RentedCount >= _blockLimit)
            {
                Evict(shard);
            }

            block = new MetadataBlock(this, number, Pool.Rent());
            block.Pin();
            shard.Add(block);
            return block;
        }
    }

    private void Load(MetadataBlock block)
    {
        try
        {
            lock (block)
            {
                if (!block.IsLoaded)
                {
                    block.VerifiedAs = BlockKind.None;
                    _device.Read((long)block.Number * BlockByteSize, block.Bytes);
                    block.IsLoaded = true;
                }
            }
        }
        catch
        {
            block.Dispose();
            throw;
        }
    }

    /// <summary>Frees up to two blocks of the shard; under its lock.</summary>
    private void Evict(Shard shard)
    {
        int freed = 0;
        for (int i = 0; i < EvictionScanLimit && freed < 2 && shard.Slots.Count > 0; i++)
        {
            shard.Hand = shard.Hand >= shard.Slots.Count ? 0 : shard.Hand;
            MetadataBlock block = shard.Slots[shard.Hand];
            if (block.PinCount != 0)
            {
                shard.Hand++;
            }
            else if (block.IsRecent)
            {
                block.IsRecent = false;
                shard.Hand++;
            }
            else
            {
                shard.Remove(block);
                ReleaseDetached(block);
                freed++;
            }
        }
    }

    private Shard ShardOf(ulong number) => _shards[(number * 0x9E3779B97F4A7C15) >> 59];

    private sealed class Shard
    {
        public readonly Dictionary<ulong, MetadataBlock> Blocks = [];
        public readonly List<MetadataBlock> Slots = [];
        public int Hand;

        public void Add(MetadataBlock block)
        {
            Blocks.Add(block.Number, block);
            block.ShardSlot = Slots.Count;
            Slots.Add(block);
        }

        public void Remove(MetadataBlock block)
        {
            Blocks.Remove(block.Number);
            MetadataBlock last = Slots[^1];
            Slots[block.ShardSlot] = last;
            last.ShardSlot = block.ShardSlot;
            Slots.RemoveAt(Slots.Count - 1);
            block.ShardSlot = -1;
        }
    }
}
