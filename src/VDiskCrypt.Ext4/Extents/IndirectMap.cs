using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Allocation;
using VDiskCrypt.Ext4.Cache;
using VDiskCrypt.Ext4.Inodes;
using VDiskCrypt.Ext4.OnDisk;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4.Extents;

/// <summary>
/// The block map of ext2: 12 direct pointers, then trees of pointer blocks one, two and three levels deep (Linux
/// Documentation/filesystems/ext4/blockmap.rst). Files are read and shortened through it, not extended.
/// </summary>
internal sealed class IndirectMap(Geometry geometry, BlockCache cache, BlockAllocator allocator)
{
    private const int DirectCount = 12;
    private const int MaximumLevel = 3;

    private readonly int _pointerBits = geometry.BlockBits - 2;

    public Mapping Find(Inode inode, uint logical)
    {
        int level = Locate(logical, out ulong index);
        if (level < 0)
        {
            return new Mapping(logical, (uint)(ExtentTree.BlockLimit - logical), 0, false);
        }

        if (level == 0)
        {
            return Run(inode, inode.Block, (int)index, DirectCount, logical);
        }

        ulong number = inode.Block.AsSpan().U32((DirectCount + level - 1) * 4);
        while (number != 0)
        {
            using MetadataBlock block = GetPointers(inode, number);
            level--;
            var slot = (int)(index >> level * _pointerBits);
            index &= (1UL << level * _pointerBits) - 1;
            if (level == 0)
            {
                return Run(inode, block.Bytes, slot, 1 << _pointerBits, logical);
            }

            number = block.Bytes.U32(slot * 4);
        }

        // Level counts what is left of the way: so many blocks of the hole are known.
        ulong span = level <= 0 ? 1 : (1UL << level * _pointerBits) - index;
        return new Mapping(logical, (uint)Math.Min(span, ExtentTree.BlockLimit - logical), 0, false);
    }

    /// <summary>Unmaps everything from a block on.</summary>
    public void Remove(TransactionHandle handle, Inode inode, uint first)
    {
        lock (inode.Map)
        {
            inode.ForgetRecent();
            Span<byte> root = inode.Block;
            for (uint i = Math.Min(first, DirectCount); i < DirectCount; i++)
            {
                FreePointer(handle, inode, root.Slice((int)i * 4, 4));
            }

            ulong start = DirectCount;
            for (int level = 1; level <= MaximumLevel; level++)
            {
                ulong count = 1UL << level * _pointerBits;
                if (first < start + count)
                {
                    RemoveTree(handle, inode, root.Slice((DirectCount + level - 1) * 4, 4), level, first > start ? first - start : 0);
                }

                start += count;
            }
        }
    }

    private void RemoveTree(TransactionHandle handle, Inode inode, Span<byte> pointer, int level, ulong first)
    {
        ulong number = pointer.U32(0);
        if (number == 0)
        {
            return;
        }

        using (MetadataBlock block = GetPointers(inode, number))
        {
            handle.Modify(block);
            ulong span = 1UL << (level - 1) * _pointerBits;
            for (ulong slot = first / span; slot < 1UL << _pointerBits; slot++)
            {
                Span<byte> child = block.Bytes.Slice((int)slot * 4, 4);
                if (level == 1)
                {
                    FreePointer(handle, inode, child);
                }
                else
                {
                    RemoveTree(handle, inode, child, level - 1, slot == first / span ? first % span : 0);
                }
            }
        }

        if (first == 0)
        {
            allocator.FreeMetadata(handle, number, 1);
            Uncount(inode);
            pointer.Clear();
        }
    }

    private void FreePointer(TransactionHandle handle, Inode inode, Span<byte> pointer)
    {
        ulong number = pointer.U32(0);
        if (number == 0)
        {
            return;
        }

        if (inode.HoldsMetadata)
        {
            allocator.FreeMetadata(handle, number, 1);
        }
        else
        {
            allocator.Free(handle, number, 1);
        }

        Uncount(inode);
        pointer.Clear();
    }

    private void Uncount(Inode inode) => inode.Blocks512 -= Math.Min(inode.Blocks512, 1UL << (geometry.BlockBits - 9));

    /// <summary>The level of the tree that a logical block lies in, and its place there; -1 behind the last.</summary>
    private int Locate(uint logical, out ulong index)
    {
        index = logical;
        if (index < DirectCount)
        {
            return 0;
        }

        index -= DirectCount;
        for (int level = 1; level <= MaximumLevel; level++)
        {
            ulong count = 1UL << level * _pointerBits;
            if (index < count)
            {
                return level;
            }

            index -= count;
        }

        return -1;
    }

    private Mapping Run(Inode inode, ReadOnlySpan<byte> pointers, int slot, int slotCount, uint logical)
    {
        ulong start = pointers.U32(slot * 4);
        uint count = 1;
        while (slot + count < slotCount && pointers.U32((slot + (int)count) * 4) == (start == 0 ? 0 : start + count))
        {
            count++;
        }

        if (start != 0 && !allocator.IsDataRange(start, count))
        {
            throw Bad(inode, $"logical block {logical} does not lie among data blocks");
        }

        return new Mapping(logical, count, start, false);
    }

    private MetadataBlock GetPointers(Inode inode, ulong number)
    {
        if (!allocator.IsDataRange(number, 1))
        {
            throw Bad(inode, $"an indirect block lies outside the data blocks ({number})");
        }

        MetadataBlock block = cache.Get(number);
        if (block.VerifiedAs is not (BlockKind.None or BlockKind.PointerBlock))
        {
            block.Dispose();
            throw Bad(inode, $"block {number} is another structure, not an indirect block");
        }

        block.VerifiedAs = BlockKind.PointerBlock;
        return block;
    }

    private static VDiskException Bad(Inode inode, string what) =>
        VDiskException.Damaged($"ext4 block map of inode {inode.Number}", 0, what, "check the filesystem with e2fsck");
}
