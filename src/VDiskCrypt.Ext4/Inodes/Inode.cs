using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Allocation;
using VDiskCrypt.Ext4.Concurrency;
using VDiskCrypt.Ext4.Extents;
using VDiskCrypt.Ext4.OnDisk;

namespace VDiskCrypt.Ext4.Inodes;

/// <summary>
/// An inode in memory. <see cref="Lock"/> orders operations on it: shared for reading and for writes that keep apart by
/// themselves, exclusive for the rest; locks of several inodes are taken in ascending order of their numbers, all before a
/// transaction handle is opened. <see cref="Map"/> guards the block map and the fields, for short times, inside a handle.
/// </summary>
internal sealed class Inode(uint number)
{
    private const int RecentMappingCount = 8;

    private readonly Mapping[] _recent = new Mapping[RecentMappingCount];
    private int _nextRecent;
    private int _pinCount;

    public uint Number { get; } = number;

    public SharedLock Lock { get; } = new();

    public object Map { get; } = new();

    /// <summary>Blocks held for this file's growth.</summary>
    public Reservation Window { get; } = new();

    /// <summary>Data writes into blocks that were mapped a moment ago: until they end the blocks read as zeros.</summary>
    public PendingWrites Pending { get; } = new();

    /// <summary>i_block.</summary>
    public byte[] Block { get; } = new byte[InodeOnDisk.BlockByteLength];

    public uint Mode { get; set; }

    public uint UserId { get; set; }

    public uint GroupId { get; set; }

    /// <summary>Bytes.</summary>
    public long Size { get; set; }

    public uint LinkCount { get; set; }

    public InodeFlags Flags { get; set; }

    public uint Generation { get; set; }

    public ulong Blocks512 { get; set; }

    public ulong AttributeBlock { get; set; }

    public UnixTime AccessTime { get; set; }

    public UnixTime ModifyTime { get; set; }

    public UnixTime ChangeTime { get; set; }

    public UnixTime BirthTime { get; set; }

    /// <summary>Seeds the checksums of everything that belongs to this inode.</summary>
    public uint ChecksumSeed { get; set; }

    /// <summary>The fields hold what the disk holds, or newer; set under <see cref="Map"/>.</summary>
    public bool IsLoaded { get; set; }

    /// <summary>The inode was freed while this object was known.</summary>
    public bool IsFreed { get; set; }

    /// <summary>The transaction with the last change of anything.</summary>
    public ulong LastTransaction { get; set; }

    /// <summary>The transaction with the last change that reading the data back needs (map, size).</summary>
    public ulong LastDataTransaction { get; set; }

    /// <summary>The last block of a directory that had room; a hint.</summary>
    public uint DirectoryInsertHint { get; set; }

    /// <summary>Known to have no file capabilities, so that writes need not look; only those who hold the lock change it.</summary>
    public bool HasNoCapability { get; set; }

    /// <summary>Used since the eviction hand last passed.</summary>
    internal bool IsRecent { get; set; }

    internal int CacheSlot { get; set; } = -1;

    internal int PinCount => Volatile.Read(ref _pinCount);

    public bool IsDirectory => UnixMode.IsDirectory(Mode);

    public bool IsRegular => UnixMode.IsRegular(Mode);

    public bool IsSymbolicLink => UnixMode.IsSymbolicLink(Mode);

    public bool HasExtents => (Flags & InodeFlags.Extents) != 0;

    /// <summary>The blocks of directories and symbolic links are metadata: cached, part of transactions.</summary>
    public bool HoldsMetadata => !IsRegular;

    internal void Pin() => Interlocked.Increment(ref _pinCount);

    public void Unpin() => Interlocked.Decrement(ref _pinCount);

    /// <summary>A mapping found before; under <see cref="Map"/>.</summary>
    public bool TryGetRecent(uint block, out Mapping mapping)
    {
        foreach (ref Mapping candidate in _recent.AsSpan())
        {
            if (candidate.Contains(block))
            {
                mapping = candidate;
                return true;
            }
        }

        mapping = default;
        return false;
    }

    public void AddRecent(in Mapping mapping)
    {
        _recent[_nextRecent] = mapping;
        _nextRecent = (_nextRecent + 1) % RecentMappingCount;
    }

    /// <summary>The map changed.</summary>
    public void ForgetRecent() => Array.Clear(_recent);
}
