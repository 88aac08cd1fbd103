using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Cache;
using VDiskCrypt.Ext4.OnDisk;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4.Allocation;

/// <summary>All block groups: loading and checking of descriptors and bitmaps, and their way back to disk.</summary>
internal sealed class GroupTable
{
    private readonly Geometry _geometry;
    private readonly MetadataChecksum _checksum;
    private readonly BlockCache _cache;
    private readonly BlockGroup[] _groups;

    public GroupTable(Geometry geometry, MetadataChecksum checksum, BlockCache cache)
    {
        _geometry = geometry;
        _checksum = checksum;
        _cache = cache;
        _groups = new BlockGroup[geometry.GroupCount];
        for (uint i = 0; i < _groups.Length; i++)
        {
            _groups[i] = Load(i);
        }
    }

    public int Count => _groups.Length;

    public BlockGroup this[uint index] => _groups[index];

    /// <summary>Says that the group's counters, flags or bitmaps change in the handle's transaction; under the group's monitor.</summary>
    public static void MarkDirty(TransactionHandle handle, BlockGroup group)
    {
        if (group.DirtyIn != handle.Transaction)
        {
            group.DirtyIn = handle.Transaction;
            handle.Transaction.AddGroup(group);
        }
    }

    /// <summary>The group's block bitmap, checked, pinned; under the group's monitor. A bitmap that was never written is made up in memory.</summary>
    public MetadataBlock GetBlockBitmap(BlockGroup group)
    {
        bool isUninitialized = (group.Flags & GroupFlags.BlockUninitialized) != 0;
        MetadataBlock block = isUninitialized ? _cache.GetNew(group.BlockBitmap, BlockKind.Bitmap, null) : _cache.Get(group.BlockBitmap);
        if (isUninitialized)
        {
            FillInitialBlockBitmap(group, block.Bytes);
        }
        else if (block.VerifiedAs != BlockKind.Bitmap)
        {
            Accept(block, group, CheckBlockBitmap(group, block.Bytes));
        }

        return block;
    }

    /// <summary>The group's inode bitmap, checked, pinned; under the group's monitor.</summary>
    public MetadataBlock GetInodeBitmap(BlockGroup group)
    {
        bool isUninitialized = (group.Flags & GroupFlags.InodeUninitialized) != 0;
        MetadataBlock block = isUninitialized ? _cache.GetNew(group.InodeBitmap, BlockKind.Bitmap, null) : _cache.Get(group.InodeBitmap);
        if (isUninitialized)
        {
            Bitmap.Set(block.Bytes, _geometry.InodesPerGroup, (uint)block.Bytes.Length * 8 - _geometry.InodesPerGroup);
        }
        else if (block.VerifiedAs != BlockKind.Bitmap)
        {
            Accept(block, group, CheckInodeBitmap(group, block.Bytes));
        }

        return block;
    }

    /// <summary>Puts counters and checksums of the transaction's groups into their blocks; no other handle is open.</summary>
    public void Store(TransactionHandle handle)
    {
        foreach (BlockGroup group in handle.Transaction.Groups)
        {
            group.DirtyIn = null;
            StoreBitmapChecksums(group);
            using MetadataBlock block = _cache.Get(_geometry.DescriptorBlock(group.Index));
            handle.Modify(block);
            var descriptor = new GroupDescriptorOnDisk(DescriptorBytes(block, group.Index))
            {
                FreeBlockCount = group.FreeBlocks,
                FreeInodeCount = group.FreeInodes,
                DirectoryCount = group.Directories,
                UnusedInodeCount = group.UnusedInodes,
                Flags = group.Flags,
                BlockBitmapChecksum = group.BlockBitmapChecksum,
                InodeBitmapChecksum = group.InodeBitmapChecksum,
            };
            if (_geometry.HasGroupChecksums)
            {
                descriptor.Checksum = _checksum.GroupDescriptor(group.Index, descriptor.Bytes);
            }
        }
    }

    private void StoreBitmapChecksums(BlockGroup group)
    {
        if (group.BlockBitmapIsDirty)
        {
            group.BlockBitmapIsDirty = false;
            if (_checksum.IsEnabled)
            {
                using MetadataBlock bitmap = _cache.Get(group.BlockBitmap);
                group.BlockBitmapChecksum = Truncate(_checksum.Bitmap(bitmap.Bytes[..(int)(_geometry.BlocksPerGroup / 8)]));
            }
        }

        if (group.InodeBitmapIsDirty)
        {
            group.InodeBitmapIsDirty = false;
            if (_checksum.IsEnabled)
            {
                using MetadataBlock bitmap = _cache.Get(group.InodeBitmap);
                group.InodeBitmapChecksum = Truncate(_checksum.Bitmap(bitmap.Bytes[..(int)(_geometry.InodesPerGroup / 8)]));
            }
        }
    }

    /// <summary>Small descriptors hold half of a bitmap's checksum.</summary>
    private uint Truncate(uint checksum) =>
        _geometry.DescriptorByteSize >= GroupDescriptorOnDisk.LargeByteLength ? checksum : checksum & 0xFFFF;

    private Span<byte> DescriptorBytes(MetadataBlock block, uint group) =>
        block.Bytes.Slice((int)(group % (uint)_geometry.DescriptorsPerBlock) * _geometry.DescriptorByteSize,
            _geometry.DescriptorByteSize);

    private BlockGroup Load(uint index)
    {
        ulong blockNumber = _geometry.DescriptorBlock(index);
        using MetadataBlock block = _cache.Get(blockNumber);
        var descriptor = new GroupDescriptorOnDisk(DescriptorBytes(block, index));
        long byteOffset = (long)blockNumber * _geometry.BlockByteSize
            + index % (uint)_geometry.DescriptorsPerBlock * _geometry.DescriptorByteSize;
        if (_geometry.HasGroupChecksums && descriptor.Checksum != _checksum.GroupDescriptor(index, descriptor.Bytes))
        {
            throw Bad(index, byteOffset, "the checksum does not match");
        }

        ulong first = _geometry.FirstDataBlock + 1;
        ulong tableEnd = descriptor.InodeTable + _geometry.InodeTableBlockCount;
        if (descriptor.BlockBitmap < first || descriptor.BlockBitmap >= _geometry.BlockCount
            || descriptor.InodeBitmap < first || descriptor.InodeBitmap >= _geometry.BlockCount
            || descriptor.InodeTable < first || tableEnd > _geometry.BlockCount || tableEnd < descriptor.InodeTable)
        {
            throw Bad(index, byteOffset, "a bitmap or the inode table lies outside the filesystem");
        }

        uint blockCount = _geometry.BlockCountOf(index);
        if (descriptor.FreeBlockCount > blockCount || descriptor.FreeInodeCount > _geometry.InodesPerGroup
            || descriptor.UnusedInodeCount > _geometry.InodesPerGroup)
        {
            throw Bad(index, byteOffset, "a counter is larger than the group");
        }

        return new BlockGroup
        {
            Index = index,
            FirstBlock = _geometry.FirstBlockOf(index),
            BlockCount = blockCount,
            BlockBitmap = descriptor.BlockBitmap,
            InodeBitmap = descriptor.InodeBitmap,
            InodeTable = descriptor.InodeTable,
            FreeBlocks = descriptor.FreeBlockCount,
            FreeInodes = descriptor.FreeInodeCount,
            Directories = descriptor.DirectoryCount,
            UnusedInodes = _geometry.HasGroupChecksums ? descriptor.UnusedInodeCount : 0,
            Flags = _geometry.HasGroupChecksums ? descriptor.Flags : descriptor.Flags & GroupFlags.InodeTableZeroed,
            BlockBitmapChecksum = descriptor.BlockBitmapChecksum,
            InodeBitmapChecksum = descriptor.InodeBitmapChecksum,
            LongestRunBound = descriptor.FreeBlockCount,
        };
    }

    /// <summary>The bitmap of a group without files: its own metadata, and what lies behind the end of the filesystem.</summary>
    private void FillInitialBlockBitmap(BlockGroup group, Span<byte> bitmap)
    {
        bitmap.Clear();
        Bitmap.Set(bitmap, 0, _geometry.BaseMetadataBlockCount(group.Index));
        SetIfInside(group, bitmap, group.BlockBitmap, 1);
        SetIfInside(group, bitmap, group.InodeBitmap, 1);
        SetIfInside(group, bitmap, group.InodeTable, _geometry.InodeTableBlockCount);
        Bitmap.Set(bitmap, group.BlockCount, (uint)bitmap.Length * 8 - group.BlockCount);
    }

    private static void SetIfInside(BlockGroup group, Span<byte> bitmap, ulong start, uint count)
    {
        for (ulong block = start; block < start + count; block++)
        {
            if (block >= group.FirstBlock && block < group.FirstBlock + group.BlockCount)
            {
                Bitmap.Set(bitmap, (uint)(block - group.FirstBlock), 1);
            }
        }
    }

    private static void Accept(MetadataBlock block, BlockGroup group, string? problem)
    {
        if (problem is not null)
        {
            long byteOffset = (long)block.Number * block.Bytes.Length;
            block.Dispose();
            throw Bad(group.Index, byteOffset, problem);
        }

        block.VerifiedAs = BlockKind.Bitmap;
    }

    private string? CheckBlockBitmap(BlockGroup group, Span<byte> bitmap)
    {
        if (_checksum.IsEnabled
            && Truncate(_checksum.Bitmap(bitmap[..(int)(_geometry.BlocksPerGroup / 8)])) != group.BlockBitmapChecksum)
        {
            return "the checksum of the block bitmap does not match";
        }

        bool hasOwn = IsSetOrOutside(group, bitmap, group.BlockBitmap, 1)
            && IsSetOrOutside(group, bitmap, group.InodeBitmap, 1)
            && IsSetOrOutside(group, bitmap, group.InodeTable, _geometry.InodeTableBlockCount)
            && Bitmap.AllSet(bitmap, 0, _geometry.BaseMetadataBlockCount(group.Index));
        if (!hasOwn)
        {
            return "the block bitmap says that metadata is free";
        }

        uint free = group.BlockCount - Bitmap.CountSet(bitmap, group.BlockCount);
        return free == group.FreeBlocks ? null : $"{free} blocks are free, the descriptor says {group.FreeBlocks}";
    }

    private string? CheckInodeBitmap(BlockGroup group, Span<byte> bitmap)
    {
        if (_checksum.IsEnabled
            && Truncate(_checksum.Bitmap(bitmap[..(int)(_geometry.InodesPerGroup / 8)])) != group.InodeBitmapChecksum)
        {
            return "the checksum of the inode bitmap does not match";
        }

        uint free = _geometry.InodesPerGroup - Bitmap.CountSet(bitmap, _geometry.InodesPerGroup);
        return free == group.FreeInodes ? null : $"{free} inodes are free, the descriptor says {group.FreeInodes}";
    }

    private static bool IsSetOrOutside(BlockGroup group, ReadOnlySpan<byte> bitmap, ulong start, uint count)
    {
        ulong first = Math.Max(start, group.FirstBlock);
        ulong end = Math.Min(start + count, group.FirstBlock + group.BlockCount);
        return first >= end || Bitmap.AllSet(bitmap, (uint)(first - group.FirstBlock), (uint)(end - first));
    }

    private static VDiskException Bad(uint group, long byteOffset, string what) =>
        VDiskException.Damaged($"ext4 block group {group}", byteOffset, what, "check the filesystem with e2fsck");
}
