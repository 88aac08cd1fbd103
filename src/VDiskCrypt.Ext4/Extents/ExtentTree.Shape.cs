using VDiskCrypt.Ext4.Cache;
using VDiskCrypt.Ext4.Inodes;
using VDiskCrypt.Ext4.OnDisk;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4.Extents;

/// <content>Growing, splitting and shrinking of the tree, and its checksums.</content>
internal sealed partial class ExtentTree
{
    /// <summary>Splits nodes until the leaf of a logical block has room; the path leads to that leaf afterwards.</summary>
    private bool MakeRoom(TransactionHandle handle, ExtentPath path, Inode inode, uint logical, int needed)
    {
        while (true)
        {
            Descend(path, inode, logical);
            ExtentNodeOnDisk leaf = path.Node(path.Depth);
            if (leaf.Capacity - leaf.Count >= needed)
            {
                return true;
            }

            int level = path.Depth - 1;
            while (level >= 0 && path.Node(level).Count >= path.Node(level).Capacity)
            {
                level--;
            }

            if (!(level < 0 ? Grow(handle, path, inode) : Split(handle, path, inode, level + 1)))
            {
                return false;
            }
        }
    }

    /// <summary>Puts the root's entries into a block of their own.</summary>
    private bool Grow(TransactionHandle handle, ExtentPath path, Inode inode)
    {
        ExtentNodeOnDisk root = path.Node(0);
        if (root.Depth >= ExtentNodeOnDisk.MaximumDepth || !TryAllocateNode(handle, path, inode, out MetadataBlock? block))
        {
            return false;
        }

        using (block)
        {
            var node = new ExtentNodeOnDisk(block.Bytes);
            node.Initialize(ExtentNodeOnDisk.CapacityOf(_geometry.BlockByteSize), root.Depth);
            root.Entries(0, root.Count).CopyTo(node.Entries(0, root.Count));
            node.Count = root.Count;
            Checksum(inode, block);
            root.Depth++;
            root.Count = 1;
            root.SetIndex(0, node.FirstBlock(0), block.Number);
            return true;
        }
    }

    /// <summary>Moves the upper part of a node into a new one; its parent has room.</summary>
    private bool Split(TransactionHandle handle, ExtentPath path, Inode inode, int level)
    {
        if (!TryAllocateNode(handle, path, inode, out MetadataBlock? block))
        {
            return false;
        }

        using (block)
        {
            ExtentNodeOnDisk node = path.Node(level);
            ModifyNode(handle, path, level);
            int count = node.Count;
            // A tree that grows at its end keeps full nodes behind it.
            int kept = path.Index(level) >= count - 1 ? count - 1 : count / 2;
            var upper = new ExtentNodeOnDisk(block.Bytes);
            upper.Initialize(ExtentNodeOnDisk.CapacityOf(_geometry.BlockByteSize), node.Depth);
            node.Entries(kept, count - kept).CopyTo(upper.Entries(0, count - kept));
            upper.Count = (ushort)(count - kept);
            node.Count = (ushort)kept;
            Checksum(inode, block);
            FinishNode(path, inode, level);

            ModifyNode(handle, path, level - 1);
            ExtentNodeOnDisk parent = path.Node(level - 1);
            int index = path.Index(level - 1) + 1;
            parent.MoveEntries(index, index + 1, parent.Count - index);
            parent.SetIndex(index, upper.FirstBlock(0), block.Number);
            parent.Count++;
            FinishNode(path, inode, level - 1);
            return true;
        }
    }

    private void InsertAt(TransactionHandle handle, ExtentPath path, Inode inode, int index, in Mapping extent)
    {
        int level = path.Depth;
        ExtentNodeOnDisk leaf = path.Node(level);
        ModifyNode(handle, path, level);
        leaf.MoveEntries(index, index + 1, leaf.Count - index);
        Put(leaf, index, extent);
        leaf.Count++;
        FinishNode(path, inode, level);
        if (index == 0)
        {
            FixKeys(handle, path, inode, level);
        }
    }

    /// <summary>Removes an entry, and nodes that become empty with it.</summary>
    private void DeleteEntry(TransactionHandle handle, ExtentPath path, Inode inode, int level, int index)
    {
        while (true)
        {
            ExtentNodeOnDisk node = path.Node(level);
            ModifyNode(handle, path, level);
            node.MoveEntries(index + 1, index, node.Count - index - 1);
            node.Count--;
            if (node.Count > 0)
            {
                FinishNode(path, inode, level);
                if (index == 0)
                {
                    FixKeys(handle, path, inode, level);
                }

                return;
            }

            if (level == 0)
            {
                node.Initialize(ExtentNodeOnDisk.RootCapacity, 0);
                return;
            }

            _allocator.FreeMetadata(handle, path.Block(level)!.Number, 1);
            inode.Blocks512 -= Math.Min(inode.Blocks512, 1UL << (_geometry.BlockBits - 9));
            level--;
            index = path.Index(level);
        }
    }

    /// <summary>While the root leads to a single node whose entries fit into the root, they move there.</summary>
    private void Collapse(TransactionHandle handle, Inode inode)
    {
        var root = new ExtentNodeOnDisk(inode.Block);
        while (root.Depth > 0 && root.Count == 1)
        {
            using MetadataBlock block = LoadNode(inode, root.Child(0), root.Depth - 1);
            var node = new ExtentNodeOnDisk(block.Bytes);
            if (node.Count > ExtentNodeOnDisk.RootCapacity)
            {
                return;
            }

            node.Entries(0, node.Count).CopyTo(root.Entries(0, node.Count));
            root.Count = node.Count;
            root.Depth--;
            _allocator.FreeMetadata(handle, block.Number, 1);
            inode.Blocks512 -= Math.Min(inode.Blocks512, 1UL << (_geometry.BlockBits - 9));
        }
    }

    /// <summary>The keys above a node follow its first entry.</summary>
    private void FixKeys(TransactionHandle handle, ExtentPath path, Inode inode, int level)
    {
        uint first = path.Node(level).FirstBlock(0);
        for (level--; level >= 0; level--)
        {
            ExtentNodeOnDisk parent = path.Node(level);
            int index = path.Index(level);
            if (parent.FirstBlock(index) == first)
            {
                return;
            }

            ModifyNode(handle, path, level);
            parent.SetFirstBlock(index, first);
            FinishNode(path, inode, level);
            if (index > 0)
            {
                return;
            }
        }
    }

    private bool TryAllocateNode(
        TransactionHandle handle, ExtentPath path, Inode inode,
        [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out MetadataBlock? block)
    {
        ulong goal = path.Depth > 0 ? path.Block(path.Depth)!.Number : path.Node(0).Count > 0 ? path.Node(0).Start(0) : 0;
        if (!_allocator.Allocate(handle, goal, 1, null, 0, out ulong number, out _))
        {
            block = null;
            return false;
        }

        inode.Blocks512 += 1UL << (_geometry.BlockBits - 9);
        block = _cache.GetNew(number, BlockKind.ExtentNode, handle);
        return true;
    }

    /// <summary>The root lies in the inode, which the caller stores in the same handle.</summary>
    private static void ModifyNode(TransactionHandle handle, ExtentPath path, int level)
    {
        if (path.Block(level) is { } block)
        {
            handle.Modify(block);
        }
    }

    private void FinishNode(ExtentPath path, Inode inode, int level)
    {
        if (path.Block(level) is { } block)
        {
            Checksum(inode, block);
        }
    }

    private void Checksum(Inode inode, MetadataBlock block)
    {
        if (_hasChecksums)
        {
            var node = new ExtentNodeOnDisk(block.Bytes);
            block.Bytes.SetU32(
                node.TailOffset, MetadataChecksum.ExtentBlock(inode.ChecksumSeed, block.Bytes, node.TailOffset));
        }
    }
}
