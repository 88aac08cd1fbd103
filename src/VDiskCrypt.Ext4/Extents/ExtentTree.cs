using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Allocation;
using VDiskCrypt.Ext4.Cache;
using VDiskCrypt.Ext4.Inodes;
using VDiskCrypt.Ext4.OnDisk;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4.Extents;

/// <summary>
/// The extent tree of an inode: logical blocks to physical ones (Linux Documentation/filesystems/ext4/ifork.rst). All
/// methods run under the inode's <see cref="Inode.Map"/>; those that change it, inside a handle.
/// </summary>
internal sealed partial class ExtentTree(Geometry geometry, BlockCache cache, BlockAllocator allocator, bool hasChecksums)
{
    /// <summary>The first logical block that no file has.</summary>
    public const ulong BlockLimit = uint.MaxValue;

    private readonly Geometry _geometry = geometry;
    private readonly BlockCache _cache = cache;
    private readonly BlockAllocator _allocator = allocator;
    private readonly bool _hasChecksums = hasChecksums;

    /// <summary>Makes i_block an empty tree.</summary>
    public static void InitializeRoot(Inode inode)
    {
        inode.Block.AsSpan().Clear();
        new ExtentNodeOnDisk(inode.Block).Initialize(ExtentNodeOnDisk.RootCapacity, 0);
    }

    /// <summary>Whether i_block can be the root of a tree.</summary>
    public static bool IsValidRoot(ReadOnlySpan<byte> root)
    {
        return root.U16(0) == ExtentNodeOnDisk.MagicValue && root.U16(4) == ExtentNodeOnDisk.RootCapacity
            && root.U16(2) <= ExtentNodeOnDisk.RootCapacity && root.U16(6) <= ExtentNodeOnDisk.MaximumDepth
            && (root.U16(6) == 0 || root.U16(2) > 0);
    }

    /// <summary>What becomes of a logical block, and of how many behind it.</summary>
    public Mapping Find(Inode inode, uint logical)
    {
        ExtentPath path = ExtentPath.OfThread;
        try
        {
            Descend(path, inode, logical);
            ExtentNodeOnDisk leaf = path.Node(path.Depth);
            int index = path.Index(path.Depth);
            if (index >= 0)
            {
                Mapping extent = ReadExtent(inode, leaf, index);
                if (extent.Contains(logical))
                {
                    return extent;
                }
            }

            ulong next = NextKey(path);
            if (next <= logical)
            {
                throw Bad(inode, 0, "extents are out of order");
            }

            return new Mapping(logical, (uint)(next - logical), 0, false);
        }
        finally
        {
            path.Release();
        }
    }

    /// <summary>The data block right before a logical block, as a goal for the next; 0 when there is none.</summary>
    public ulong GoalBefore(Inode inode, uint logical)
    {
        ExtentPath path = ExtentPath.OfThread;
        try
        {
            Descend(path, inode, logical);
            int index = path.Index(path.Depth);
            if (index < 0)
            {
                return 0;
            }

            Mapping extent = ReadExtent(inode, path.Node(path.Depth), index);
            return extent.Physical + (logical - extent.First);
        }
        finally
        {
            path.Release();
        }
    }

    /// <summary>Walks from the root to the leaf that holds, or would hold, a logical block.</summary>
    private void Descend(ExtentPath path, Inode inode, uint logical)
    {
        path.Start(inode);
        ExtentNodeOnDisk node = path.Node(0);
        int depth = node.Depth;
        for (int level = 0; ; level++)
        {
            int index = Search(node, logical);
            path.Depth = level;
            path.Index(level) = index;
            if (level == depth)
            {
                return;
            }

            index = Math.Max(index, 0);
            path.Index(level) = index;
            MetadataBlock block = LoadNode(inode, node.Child(index), depth - level - 1);
            path.Set(level + 1, block);
            node = path.Node(level + 1);
        }
    }

    /// <summary>The last entry that begins at or before a block; -1 when all begin behind it.</summary>
    private static int Search(ExtentNodeOnDisk node, uint logical)
    {
        int low = 0;
        int high = node.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (node.FirstBlock(middle) <= logical)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        return low - 1;
    }

    /// <summary>Where the first extent behind the path's leaf entry begins.</summary>
    private static ulong NextKey(ExtentPath path)
    {
        for (int level = path.Depth; level >= 0; level--)
        {
            ExtentNodeOnDisk node = path.Node(level);
            int next = path.Index(level) + 1;
            if (next < node.Count)
            {
                return node.FirstBlock(next);
            }
        }

        return BlockLimit;
    }

    private Mapping ReadExtent(Inode inode, ExtentNodeOnDisk leaf, int index)
    {
        int raw = leaf.RawLength(index);
        bool isUnwritten = raw > ExtentNodeOnDisk.MaximumWrittenLength;
        var count = (uint)(isUnwritten ? raw - ExtentNodeOnDisk.MaximumWrittenLength : raw);
        var extent = new Mapping(leaf.FirstBlock(index), count, leaf.Start(index), isUnwritten);
        if (!_allocator.IsDataRange(extent.Physical, count) || extent.End > BlockLimit)
        {
            throw Bad(inode, 0, $"the extent at logical block {extent.First} does not lie among data blocks");
        }

        return extent;
    }

    private MetadataBlock LoadNode(Inode inode, ulong number, int depth)
    {
        if (!_allocator.IsDataRange(number, 1))
        {
            throw Bad(inode, 0, $"an extent block lies outside the data blocks ({number})");
        }

        MetadataBlock block = _cache.Get(number);
        var node = new ExtentNodeOnDisk(block.Bytes);
        string? problem = node.Depth != depth || node.Magic != ExtentNodeOnDisk.MagicValue
            ? "an extent block has the wrong depth or magic number"
            : block.VerifiedAs == BlockKind.ExtentNode ? null : CheckNode(inode, node);
        if (problem is not null)
        {
            block.Dispose();
            throw Bad(inode, number, problem);
        }

        block.VerifiedAs = BlockKind.ExtentNode;
        return block;
    }

    private string? CheckNode(Inode inode, ExtentNodeOnDisk node)
    {
        if (node.Capacity == 0 || node.Capacity > ExtentNodeOnDisk.CapacityOf(_geometry.BlockByteSize)
            || node.Count == 0 || node.Count > node.Capacity)
        {
            return "an extent block has wrong entry counts";
        }

        if (_hasChecksums && (node.TailOffset + ExtentNodeOnDisk.TailByteLength > _geometry.BlockByteSize
            || node.Bytes.U32(node.TailOffset)
                != MetadataChecksum.ExtentBlock(inode.ChecksumSeed, node.Bytes, node.TailOffset)))
        {
            return "the checksum of an extent block does not match";
        }

        ulong next = 0;
        for (int i = 0; i < node.Count; i++)
        {
            if (node.FirstBlock(i) < next)
            {
                return "the entries of an extent block overlap or are out of order";
            }

            int raw = node.RawLength(i);
            uint length = node.Depth > 0 ? 1
                : (uint)(raw > ExtentNodeOnDisk.MaximumWrittenLength ? raw - ExtentNodeOnDisk.MaximumWrittenLength : raw);
            if (length == 0)
            {
                return "an extent is empty";
            }

            next = (ulong)node.FirstBlock(i) + length;
        }

        return null;
    }

    private VDiskException Bad(Inode inode, ulong block, string what) =>
        VDiskException.Damaged(
            $"ext4 extent tree of inode {inode.Number}", (long)(block << _geometry.BlockBits), what,
            "check the filesystem with e2fsck");
}
