using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Allocation;
using VDiskCrypt.Ext4.Cache;
using VDiskCrypt.Ext4.Extents;
using VDiskCrypt.Ext4.Inodes;
using VDiskCrypt.Ext4.OnDisk;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4.Files;

/// <summary>
/// What files hold: reading and writing straight between the caller's memory and the device, truncation, allocation,
/// holes. The caller holds the inode's <see cref="Inode.Lock"/> as each method says.
/// </summary>
internal sealed partial class FileContent
{
    /// <summary>Runs that one handle maps at most; a longer operation takes several handles.</summary>
    private const int RunsPerHandle = 32;

    /// <summary>Blocks that mapping so many runs may change: bitmaps, nodes of the tree, the inode.</summary>
    private const int MapCredits = RunsPerHandle + 32;

    private readonly IBlockDevice _device;
    private readonly Geometry _geometry;
    private readonly BlockCache _cache;
    private readonly BlockAllocator _blocks;
    private readonly ExtentTree _extents;
    private readonly IndirectMap _indirect;
    private readonly InodeStore _inodes;
    private readonly TransactionLog _log;
    private readonly OrphanList _orphans;
    private readonly int _blockBits;
    private readonly int _blockMask;

    public FileContent(
        IBlockDevice device, Geometry geometry, BlockCache cache, BlockAllocator blocks, ExtentTree extents,
        IndirectMap indirect, InodeStore inodes, TransactionLog log, OrphanList orphans)
    {
        _device = device;
        _geometry = geometry;
        _cache = cache;
        _blocks = blocks;
        _extents = extents;
        _indirect = indirect;
        _inodes = inodes;
        _log = log;
        _orphans = orphans;
        _blockBits = geometry.BlockBits;
        _blockMask = geometry.BlockByteSize - 1;
    }

    /// <summary>The largest size that a file of this kind of map can have, in bytes.</summary>
    public long MaximumSizeOf(Inode inode)
    {
        if (!_geometry.Has(ReadOnlyCompatibleFeatures.LargeFile))
        {
            return int.MaxValue;
        }

        ulong blocks = inode.HasExtents ? ExtentTree.BlockLimit : _indirect.BlockLimit;
        if (!_geometry.Has(ReadOnlyCompatibleFeatures.HugeFile))
        {
            blocks = Math.Min(blocks, uint.MaxValue >> (_blockBits - 9));
        }

        return (long)(blocks << _blockBits);
    }

    /// <summary>Makes i_block an empty map of the filesystem's kind.</summary>
    public void InitializeMap(Inode inode)
    {
        if (_geometry.Has(IncompatibleFeatures.Extents))
        {
            inode.Flags |= InodeFlags.Extents;
            ExtentTree.InitializeRoot(inode);
        }
        else
        {
            inode.Block.AsSpan().Clear();
        }
    }

    /// <summary>What becomes of a logical block.</summary>
    public Mapping Map(Inode inode, uint block)
    {
        lock (inode.Map)
        {
            return MapLocked(inode, block);
        }
    }

    /// <summary>Reads; the lock is held shared.</summary>
    public int Read(Inode inode, long byteOffset, Span<byte> destination)
    {
        long size = inode.Size;
        if (byteOffset >= size)
        {
            return 0;
        }

        var length = (int)Math.Min(destination.Length, size - byteOffset);
        for (int done = 0; done < length;)
        {
            long position = byteOffset + done;
            var block = (uint)(position >> _blockBits);
            int inBlock = (int)position & _blockMask;
            Mapping mapping = Map(inode, block);
            bool isData = mapping.IsData;
            var run = (uint)(mapping.End - block);
            if (isData && !inode.Pending.IsEmpty)
            {
                isData = !inode.Pending.Contains(block, run, out run);
            }

            var part = (int)Math.Min(length - done, ((long)run << _blockBits) - inBlock);
            if (isData)
            {
                _device.Read((long)((mapping.Physical + (block - mapping.First)) << _blockBits) + inBlock, destination.Slice(done, part));
            }
            else
            {
                destination.Slice(done, part).Clear();
            }

            done += part;
        }

        return length;
    }

    /// <summary>The next data or hole; the lock is held shared.</summary>
    public FileSystemError Seek(Inode inode, long byteOffset, SeekTarget target, out long found)
    {
        found = 0;
        long size = inode.Size;
        if (byteOffset < 0 || byteOffset >= size)
        {
            return FileSystemError.NoSuchOffset;
        }

        for (long position = byteOffset; position < size;)
        {
            var block = (uint)(position >> _blockBits);
            Mapping mapping = Map(inode, block);
            if (mapping.IsData == (target == SeekTarget.Data))
            {
                found = position;
                return FileSystemError.None;
            }

            position = (long)(mapping.End << _blockBits);
        }

        found = size;
        return target == SeekTarget.Hole ? FileSystemError.None : FileSystemError.NoSuchOffset;
    }

    private Mapping MapLocked(Inode inode, uint block)
    {
        if (!inode.TryGetRecent(block, out Mapping mapping))
        {
            mapping = inode.HasExtents ? _extents.Find(inode, block) : _indirect.Find(inode, block);
            inode.AddRecent(mapping);
        }

        return mapping;
    }

    /// <summary>Where the next block of a file best lies.</summary>
    private ulong Goal(Inode inode, uint block)
    {
        ulong goal = inode.HasExtents ? _extents.GoalBefore(inode, block) : _indirect.GoalBefore(inode, block);
        return goal != 0 && goal < _geometry.BlockCount ? goal : FirstGoal(inode);
    }

    /// <summary>
    /// The start of the inode's own group; where groups share inode tables, files begin a group later than directories.
    /// </summary>
    private ulong FirstGoal(Inode inode)
    {
        uint group = _geometry.GroupOfInode(inode.Number);
        if (_geometry.LogGroupsPerFlex >= 2)
        {
            group &= ~((1u << _geometry.LogGroupsPerFlex) - 1);
            group += inode.IsRegular && group + 1 < _geometry.GroupCount ? 1u : 0;
        }

        return _geometry.FirstBlockOf(group);
    }
}
