using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Allocation;
using VDiskCrypt.Ext4.Cache;
using VDiskCrypt.Ext4.Inodes;
using VDiskCrypt.Ext4.OnDisk;

namespace VDiskCrypt.Ext4.Extents;

/// <summary>
/// The block map of ext2: 12 direct pointers, then trees of pointer blocks one, two and three levels deep (Linux
/// Documentation/filesystems/ext4/blockmap.rst). All methods run under the inode's <see cref="Inode.Map"/>; those that
/// change it, inside a handle. It knows holes and data, no unwritten blocks.
/// </summary>
internal sealed partial class IndirectMap(Geometry geometry, BlockCache cache, BlockAllocator allocator)
{
    private const int DirectCount = 12;
    private const int MaximumLevel = 3;

    private readonly int _pointerBits = geometry.BlockBits - 2;

    /// <summary>
    /// The blocks that such a file can have. Without huge_file i_blocks counts 2^32 - 1 units of 512 bytes, the pointer
    /// blocks among them.
    /// </summary>
    public ulong BlockLimit { get; } = LimitOf(geometry);

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

    /// <summary>How many blocks from a logical block on have their pointers in one place; 0 behind the last.</summary>
    public uint RunLimit(uint logical)
    {
        int level = Locate(logical, out ulong index);
        return level < 0 ? 0
            : level == 0 ? DirectCount - (uint)index
            : (1u << _pointerBits) - (uint)(index & (1UL << _pointerBits) - 1);
    }

    /// <summary>The place behind the block before, as a goal for the next; 0 when there is none.</summary>
    public ulong GoalBefore(Inode inode, uint logical)
    {
        Mapping before = logical == 0 ? default : Find(inode, logical - 1);
        return before.IsHole ? 0 : before.Physical + 1;
    }

    private static ulong LimitOf(Geometry geometry)
    {
        int bits = geometry.BlockBits - 2;
        ulong limit = DirectCount + (1UL << bits) + (1UL << 2 * bits) + (1UL << 3 * bits);
        ulong pointerBlocks = 3 + (2UL << bits) + (1UL << 2 * bits);
        ulong counted = geometry.Has(ReadOnlyCompatibleFeatures.HugeFile)
            ? ulong.MaxValue
            : (uint.MaxValue >> (geometry.BlockBits - 9)) - pointerBlocks;
        return Math.Min(Math.Min(limit, counted), ExtentTree.BlockLimit);
    }

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
