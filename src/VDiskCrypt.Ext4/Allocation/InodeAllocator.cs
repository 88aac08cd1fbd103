using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Cache;
using VDiskCrypt.Ext4.OnDisk;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4.Allocation;

/// <summary>
/// Gives out inode numbers: files near their directory, directories spread over the groups when they are made at the top
/// (the policy that is known by the name of Orlov), near their parent otherwise.
/// </summary>
internal sealed class InodeAllocator
{
    private readonly Geometry _geometry;
    private readonly GroupTable _groups;
    private readonly BlockCache _cache;
    private readonly BlockAllocator _blocks;
    private long _freeInodeCount;

    public InodeAllocator(Geometry geometry, GroupTable groups, BlockCache cache, BlockAllocator blocks)
    {
        _geometry = geometry;
        _groups = groups;
        _cache = cache;
        _blocks = blocks;
        for (uint i = 0; i < groups.Count; i++)
        {
            _freeInodeCount += groups[i].FreeInodes;
        }
    }

    public uint FreeInodeCount => (uint)Math.Max(0, Interlocked.Read(ref _freeInodeCount));

    /// <summary>Takes an inode; its block of the inode table is readable afterwards.</summary>
    /// <returns>The number; 0 when none is left.</returns>
    public uint Allocate(TransactionHandle handle, uint parent, bool isDirectory, bool isTopLevel)
    {
        var groupCount = (uint)_groups.Count;
        uint parentGroup = _geometry.GroupOfInode(parent);
        uint best = !isDirectory ? parentGroup : isTopLevel ? EmptiestGroup(parentGroup) : RoomyGroup(parentGroup);
        for (int pass = 0; pass < 2; pass++)
        {
            for (uint i = 0; i < groupCount; i++)
            {
                uint index = best + i;
                BlockGroup group = _groups[index < groupCount ? index : index - groupCount];
                if (group.FreeInodes == 0 || pass == 0 && group.FreeBlocks == 0)
                {
                    continue;
                }

                uint inode = TakeFromGroup(handle, group, isDirectory);
                if (inode != 0)
                {
                    return inode;
                }
            }
        }

        return 0;
    }

    public void Free(TransactionHandle handle, uint inode, bool isDirectory)
    {
        BlockGroup group = _groups[_geometry.GroupOfInode(inode)];
        uint bit = (inode - 1) % _geometry.InodesPerGroup;
        lock (group)
        {
            using MetadataBlock bitmap = _groups.GetInodeBitmap(group);
            handle.Modify(bitmap);
            if ((group.Flags & GroupFlags.InodeUninitialized) != 0 || !Bitmap.Clear(bitmap.Bytes, bit, 1))
            {
                throw VDiskException.Damaged(
                    $"ext4 inode bitmap of group {group.Index}", (long)group.InodeBitmap << _geometry.BlockBits,
                    $"inode {inode} is freed twice", "check the filesystem with e2fsck");
            }

            group.FreeInodes++;
            group.Directories -= isDirectory && group.Directories > 0 ? 1u : 0;
            group.InodeSearchStart = Math.Min(group.InodeSearchStart, bit);
            group.InodeBitmapIsDirty = true;
            GroupTable.MarkDirty(handle, group);
        }

        Interlocked.Increment(ref _freeInodeCount);
    }

    /// <summary>Whether the inode bitmap says that the inode is in use.</summary>
    public bool IsAllocated(uint inode)
    {
        BlockGroup group = _groups[_geometry.GroupOfInode(inode)];
        lock (group)
        {
            using MetadataBlock bitmap = _groups.GetInodeBitmap(group);
            return Bitmap.IsSet(bitmap.Bytes, (inode - 1) % _geometry.InodesPerGroup);
        }
    }

    private uint TakeFromGroup(TransactionHandle handle, BlockGroup group, bool isDirectory)
    {
        lock (group)
        {
            using MetadataBlock bitmap = _groups.GetInodeBitmap(group);
            uint reserved = group.Index == 0 ? _geometry.FirstInode - 1 : 0;
            uint bit = Bitmap.NextClear(
                bitmap.Bytes, default, Math.Max(reserved, group.InodeSearchStart), _geometry.InodesPerGroup);
            if (bit >= _geometry.InodesPerGroup)
            {
                group.InodeSearchStart = _geometry.InodesPerGroup;
                return 0;
            }

            PrepareTableBlock(handle, group, bitmap.Bytes, bit);
            handle.Modify(bitmap);
            Bitmap.Set(bitmap.Bytes, bit, 1);
            group.InodeSearchStart = bit + 1;
            group.FreeInodes--;
            group.Directories += isDirectory ? 1u : 0;
            group.Flags &= ~GroupFlags.InodeUninitialized;
            if (_geometry.HasGroupChecksums)
            {
                group.UnusedInodes = Math.Min(group.UnusedInodes, _geometry.InodesPerGroup - bit - 1);
                _blocks.InitializeBitmap(handle, group);
            }

            group.InodeBitmapIsDirty = true;
            GroupTable.MarkDirty(handle, group);
            Interlocked.Decrement(ref _freeInodeCount);
            return group.Index * _geometry.InodesPerGroup + bit + 1;
        }
    }

    /// <summary>
    /// A table block without any inode in use is zeroed instead of read: it may never have been written. Under the group's
    /// monitor, so that no second inode of the block is written before.
    /// </summary>
    private void PrepareTableBlock(TransactionHandle handle, BlockGroup group, ReadOnlySpan<byte> bitmap, uint bit)
    {
        var perBlock = (uint)_geometry.InodesPerBlock;
        uint first = bit / perBlock * perBlock;
        uint end = Math.Min(first + perBlock, _geometry.InodesPerGroup);
        if (Bitmap.NextSet(bitmap, default, first, end) == end && !(group.Index == 0 && first < _geometry.FirstInode))
        {
            _cache.GetNew(group.InodeTable + bit / perBlock, BlockKind.InodeTable, handle).Dispose();
        }
    }

    /// <summary>For a directory below the root: the groups that share inode tables with the one with the fewest directories.</summary>
    private uint EmptiestGroup(uint parentGroup)
    {
        uint unit = 1u << _geometry.LogGroupsPerFlex;
        var groupCount = (uint)_groups.Count;
        uint unitCount = (groupCount + unit - 1) / unit;
        long averageInodes = FreeInodeCount / unitCount;
        long averageBlocks = (long)_blocks.FreeBlockCount / unitCount;
        uint best = parentGroup;
        long bestDirectories = long.MaxValue;
        for (uint i = 0; i < unitCount; i++)
        {
            long inodes = 0, blocks = 0, directories = 0;
            uint first = i * unit;
            for (uint index = first; index < Math.Min(first + unit, groupCount); index++)
            {
                BlockGroup group = _groups[index];
                inodes += group.FreeInodes;
                blocks += group.FreeBlocks;
                directories += group.Directories;
            }

            if (inodes > 0 && inodes >= averageInodes && blocks >= averageBlocks && directories < bestDirectories)
            {
                best = first;
                bestDirectories = directories;
            }
        }

        return best;
    }

    /// <summary>For a directory elsewhere: its parent's group, or the next that is not much fuller than the average.</summary>
    private uint RoomyGroup(uint parentGroup)
    {
        var groupCount = (uint)_groups.Count;
        uint leastInodes = Math.Max(1, FreeInodeCount / groupCount / 4);
        ulong leastBlocks = _blocks.FreeBlockCount / groupCount / 4;
        for (uint i = 0; i < groupCount; i++)
        {
            uint index = (parentGroup + i) % groupCount;
            BlockGroup group = _groups[index];
            if (group.FreeInodes >= leastInodes && group.FreeBlocks >= leastBlocks)
            {
                return index;
            }
        }

        return parentGroup;
    }
}
