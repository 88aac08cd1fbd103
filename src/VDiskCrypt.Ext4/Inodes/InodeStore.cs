using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Allocation;
using VDiskCrypt.Ext4.Cache;
using VDiskCrypt.Ext4.OnDisk;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4.Inodes;

/// <summary>The inodes in memory, a bounded number of them, and their way from and to the inode tables.</summary>
internal sealed partial class InodeStore
{
    private const int ShardCount = 32;
    private const int EvictionScanLimit = 32;

    private readonly Geometry _geometry;
    private readonly MetadataChecksum _checksum;
    private readonly BlockCache _cache;
    private readonly GroupTable _groups;
    private readonly BlockAllocator _blocks;
    private readonly Shard[] _shards = new Shard[ShardCount];
    private readonly int _shardLimit;

    public InodeStore(
        Geometry geometry, MetadataChecksum checksum, BlockCache cache, GroupTable groups, BlockAllocator blocks, int limit)
    {
        _geometry = geometry;
        _checksum = checksum;
        _cache = cache;
        _groups = groups;
        _blocks = blocks;
        _shardLimit = Math.Max(limit / ShardCount, 8);
        for (int i = 0; i < ShardCount; i++)
        {
            _shards[i] = new Shard();
        }
    }

    /// <summary>The inode, pinned; null when the number names no inode that a user may see.</summary>
    public Inode? TryGet(ulong number) =>
        number == Ext4FileSystem.RootInodeNumber || number >= _geometry.FirstInode && number <= _geometry.InodeCount
            ? TryGetAny((uint)number)
            : null;

    /// <summary>As <see cref="TryGet"/>, reserved inodes included.</summary>
    public Inode? TryGetAny(uint number)
    {
        Shard shard = _shards[number % ShardCount];
        while (true)
        {
            Inode inode = GetPinned(shard, number);
            lock (inode.Map)
            {
                if (!inode.IsLoaded && !inode.IsFreed)
                {
                    try
                    {
                        Load(inode);
                    }
                    catch
                    {
                        inode.IsFreed = true;
                        shard.Remove(inode);
                        inode.Unpin();
                        throw;
                    }
                }
            }

            if (!inode.IsFreed && shard.Holds(inode))
            {
                return inode;
            }

            // A number that was freed, or given to a new inode while this one was read.
            bool isCurrent = shard.Holds(inode);
            shard.Remove(inode);
            inode.Unpin();
            if (isCurrent)
            {
                return null;
            }
        }
    }

    /// <summary>An object for a number that was just allocated, pinned; it replaces what the number was before.</summary>
    public Inode Install(uint number, uint generation)
    {
        var inode = new Inode(number)
        {
            Generation = generation,
            ChecksumSeed = _checksum.InodeSeed(number, generation),
            IsLoaded = true,
        };
        inode.Pin();
        Shard shard = _shards[number % ShardCount];
        lock (shard)
        {
            if (shard.Inodes.TryGetValue(number, out Inode? old))
            {
                old.IsFreed = true;
                shard.RemoveLocked(old);
            }

            shard.Add(inode);
        }

        return inode;
    }

    /// <summary>The number is free from now on.</summary>
    public void Remove(Inode inode)
    {
        inode.IsFreed = true;
        _blocks.DropWindow(inode.Window);
        _shards[inode.Number % ShardCount].Remove(inode);
    }

    private Inode GetPinned(Shard shard, uint number)
    {
        Inode? evicted = null;
        Inode? inode;
        lock (shard)
        {
            if (!shard.Inodes.TryGetValue(number, out inode))
            {
                if (shard.Slots.Count >= _shardLimit)
                {
                    evicted = shard.Evict(EvictionScanLimit);
                }

                inode = new Inode(number);
                shard.Add(inode);
            }

            inode.IsRecent = true;
            inode.Pin();
        }

        if (evicted is not null)
        {
            _blocks.DropWindow(evicted.Window);
        }

        return inode;
    }

    private sealed class Shard
    {
        public readonly Dictionary<uint, Inode> Inodes = [];
        public readonly List<Inode> Slots = [];
        private int _hand;

        public void Add(Inode inode)
        {
            Inodes.Add(inode.Number, inode);
            inode.CacheSlot = Slots.Count;
            Slots.Add(inode);
        }

        public bool Holds(Inode inode)
        {
            lock (this)
            {
                return inode.CacheSlot >= 0;
            }
        }

        public void Remove(Inode inode)
        {
            lock (this)
            {
                RemoveLocked(inode);
            }
        }

        public void RemoveLocked(Inode inode)
        {
            if (inode.CacheSlot < 0)
            {
                return;
            }

            Inodes.Remove(inode.Number);
            Inode last = Slots[^1];
            Slots[inode.CacheSlot] = last;
            last.CacheSlot = inode.CacheSlot;
            Slots.RemoveAt(Slots.Count - 1);
            inode.CacheSlot = -1;
        }

        public Inode? Evict(int scanLimit)
        {
            for (int i = 0; i < scanLimit && Slots.Count > 0; i++)
            {
                _hand = _hand >= Slots.Count ? 0 : _hand;
                Inode inode = Slots[_hand];
                if (inode.PinCount == 0 && !inode.IsRecent)
                {
                    RemoveLocked(inode);
                    return inode;
                }

                inode.IsRecent = false;
                _hand++;
            }

            return null;
        }
    }
}
