using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4.Cache;

/// <summary>
/// One cached block of metadata in native memory. Whoever holds one has pinned it and disposes it to unpin. Before the
/// bytes are changed, <see cref="TransactionHandle.Modify"/> makes the block part of the handle's transaction; the lock of
/// the structure that the block belongs to (inode, group) orders changes of its bytes. The monitor of the block itself
/// guards its transaction fields, loading, and blocks that several inodes share (inode tables).
/// </summary>
internal sealed unsafe class MetadataBlock : IDisposable
{
    private readonly BlockCache _cache;
    private int _pinCount;

    public MetadataBlock(BlockCache cache, ulong number, nint data)
    {
        _cache = cache;
        Number = number;
        Data = data;
    }

    public ulong Number { get; }

    public Span<byte> Bytes => new((void*)Data, _cache.BlockByteSize);

    /// <summary>The structure whose checks the bytes passed; none after they were read.</summary>
    public volatile BlockKind VerifiedAs;

    /// <summary>Set once the bytes are there.</summary>
    public volatile bool IsLoaded;

    public nint Data { get; internal set; }

    /// <summary>The youngest transaction that changes the block, running or committing.</summary>
    internal volatile Transaction? Transaction;

    /// <summary>The committing transaction whose version of the bytes is <see cref="Frozen"/>.</summary>
    internal Transaction? FrozenFor;

    internal nint Frozen;

    /// <summary>The transaction that freed the block: its commit does not write it.</summary>
    internal Transaction? ForgottenIn;

    /// <summary>No longer found in the cache; its memory goes back with the last pin.</summary>
    internal volatile bool IsDetached;

    /// <summary>Used since the eviction hand last passed.</summary>
    internal bool IsRecent;

    /// <summary>Where the shard keeps it.</summary>
    internal int ShardSlot = -1;

    internal int PinCount => Volatile.Read(ref _pinCount);

    /// <summary>Adds a pin. The first pin of a block is only taken under its shard's lock.</summary>
    internal void Pin() => Interlocked.Increment(ref _pinCount);

    /// <summary>Unpins.</summary>
    public void Dispose()
    {
        if (Interlocked.Decrement(ref _pinCount) == 0 && IsDetached)
        {
            _cache.ReleaseDetached(this);
        }
    }
}
