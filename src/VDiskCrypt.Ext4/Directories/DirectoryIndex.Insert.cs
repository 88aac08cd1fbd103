using System.Buffers;
using VDiskCrypt.Core;
using VDiskCrypt.Ext4.OnDisk;

namespace VDiskCrypt.Ext4.Directories;

internal static partial class DirectoryIndex
{
    /// <summary>Splits that one insertion may need: nodes on each level, and leaves of very unequal names.</summary>
    private const int SplitLimit = 16;

    /// <summary>Adds a name that is not there. Each step leaves a sound index, so that running out of space costs nothing.</summary>
    public static FileSystemError Insert(IDirectoryBlocks blocks, ReadOnlySpan<byte> name, uint inode, byte fileType)
    {
        uint hash = blocks.Format.Hash(HashKindOf(blocks), name).Major;
        for (int attempt = 0; attempt < SplitLimit; attempt++)
        {
            uint leaf = Probe(blocks, hash, out IndexPath path);
            using DirectoryBlock block = blocks.Get(leaf);
            if (DirectoryLeaf.TryInsert(blocks.Format, block, blocks, name, inode, fileType))
            {
                DirectoryBlockCheck.StoreChecksum(blocks, block);
                return FileSystemError.None;
            }

            FileSystemError error = IsFull(blocks, path.Block(path.Depth))
                ? MakeRoom(blocks, path)
                : SplitLeaf(blocks, path, block);
            if (error != FileSystemError.None)
            {
                return error;
            }
        }

        throw DirectoryBlockCheck.Damaged(blocks, 0, 0, "splitting the directory's blocks makes no room for a name");
    }

    /// <summary>
    /// Makes an indexed directory of one that is a single full block: its entries but "." and ".." move to a new block,
    /// to which the root then refers.
    /// </summary>
    public static FileSystemError Convert(IDirectoryBlocks blocks)
    {
        DirectoryFormat format = blocks.Format;
        using DirectoryBlock root = blocks.Get(0);
        FileSystemError error = blocks.Append(out DirectoryBlock leaf);
        if (error != FileSystemError.None)
        {
            return error;
        }

        using (leaf)
        {
            uint self = root.Bytes.U32(0);
            uint parent = root.Bytes.U32(DirectoryLeaf.ParentOffset);
            MoveEntries(format, root.Bytes, leaf.Bytes);
            DirectoryBlockCheck.StoreChecksum(blocks, leaf);
            blocks.Modify(root);
            root.Bytes.Clear();
            DirectoryLeaf.WriteDots(format, root.Bytes, self, parent, format.BlockByteSize - DirectoryLeaf.ParentOffset);
            root.Bytes[IndexNode.RootInfoOffset + 5] = IndexNode.RootInfoByteLength;
            var node = new IndexNode(root)
            {
                HashVersion = format.DefaultHashVersion,
                Limit = IndexNode.LimitOf(format, isRoot: true),
                Count = 1,
            };
            node.SetBlock(0, leaf.LogicalBlock);
        }

        blocks.IsIndexed = true;
        DirectoryBlockCheck.StoreChecksum(blocks, root);
        return FileSystemError.None;
    }

    private static bool IsFull(IDirectoryBlocks blocks, uint logicalBlock)
    {
        using DirectoryBlock block = blocks.Get(logicalBlock);
        return new IndexNode(block).IsFull;
    }

    /// <summary>All entries behind ".." of the first block, packed, into an empty block.</summary>
    private static void MoveEntries(DirectoryFormat format, ReadOnlySpan<byte> first, Span<byte> target)
    {
        DirectoryLeaf.Initialize(format, target);
        int offset = DirectoryLeaf.ParentOffset + DirectoryLeaf.LengthAt(format, first, DirectoryLeaf.ParentOffset);
        int write = 0;
        int last = -1;
        for (; offset < format.EntriesByteLength; offset += DirectoryLeaf.LengthAt(format, first, offset))
        {
            if (first.U32(offset) != 0)
            {
                last = write;
                write += Copy(format, first, offset, target, write);
            }
        }

        Finish(format, target, last);
    }

    /// <summary>Makes room in the node above the leaf by splitting it, or the highest full node below one with room, or by
    /// adding a level.</summary>
    private static FileSystemError MakeRoom(IDirectoryBlocks blocks, in IndexPath path)
    {
        int level = path.Depth;
        while (level > 0 && IsFull(blocks, path.Block(level - 1)))
        {
            level--;
        }

        if (level > 0)
        {
            return SplitNode(blocks, path, level);
        }

        return path.Depth < blocks.Format.MaximumIndexDepth ? AddLevel(blocks) : FileSystemError.NoSpace;
    }

    /// <summary>The root's entries move to a new node, to which the root then refers.</summary>
    private static FileSystemError AddLevel(IDirectoryBlocks blocks)
    {
        FileSystemError error = blocks.Append(out DirectoryBlock added);
        if (error != FileSystemError.None)
        {
            return error;
        }

        using (added)
        {
            using DirectoryBlock root = blocks.Get(0);
            var rootNode = new IndexNode(root);
            FillNode(blocks, added, rootNode.Entries(0, rootNode.Count));
            blocks.Modify(root);
            rootNode.Entries(1, rootNode.Count - 1).Clear();
            rootNode.Count = 1;
            rootNode.SetBlock(0, added.LogicalBlock);
            rootNode.Depth++;
            DirectoryBlockCheck.StoreChecksum(blocks, root);
        }

        return FileSystemError.None;
    }

    /// <summary>Half of a node's entries move to a new node; the node above has room for it.</summary>
    private static FileSystemError SplitNode(IDirectoryBlocks blocks, in IndexPath path, int level)
    {
        FileSystemError error = blocks.Append(out DirectoryBlock added);
        if (error != FileSystemError.None)
        {
            return error;
        }

        using (added)
        {
            using DirectoryBlock block = blocks.Get(path.Block(level));
            using DirectoryBlock parent = blocks.Get(path.Block(level - 1));
            var node = new IndexNode(block);
            int stays = node.Count / 2;
            uint hash = node.Hash(stays);
            FillNode(blocks, added, node.Entries(stays, node.Count - stays));
            blocks.Modify(block);
            node.Entries(stays, node.Count - stays).Clear();
            node.Count = stays;
            DirectoryBlockCheck.StoreChecksum(blocks, block);
            Link(blocks, parent, path.Position(level - 1), hash, added.LogicalBlock);
        }

        return FileSystemError.None;
    }

    private static void FillNode(IDirectoryBlocks blocks, in DirectoryBlock block, ReadOnlySpan<byte> entries)
    {
        DirectoryFormat format = blocks.Format;
        DirectoryLeaf.WriteEntry(format, block.Bytes, 0, format.BlockByteSize, 0, [], 0);
        var node = new IndexNode(block);
        entries.CopyTo(node.Entries(0, entries.Length / IndexNode.EntryByteLength));
        node.Limit = IndexNode.LimitOf(format, isRoot: false);
        node.Count = entries.Length / IndexNode.EntryByteLength;
        DirectoryBlockCheck.StoreChecksum(blocks, block);
    }

    private static void Link(IDirectoryBlocks blocks, in DirectoryBlock parent, int position, uint hash, uint logicalBlock)
    {
        blocks.Modify(parent);
        new IndexNode(parent).InsertAfter(position, hash, logicalBlock);
        DirectoryBlockCheck.StoreChecksum(blocks, parent);
    }

    /// <summary>The upper half of a leaf's entries, by hash, moves to a new leaf; the node above has room for it.</summary>
    private static FileSystemError SplitLeaf(IDirectoryBlocks blocks, in IndexPath path, in DirectoryBlock leaf)
    {
        DirectoryFormat format = blocks.Format;
        FileSystemError error = blocks.Append(out DirectoryBlock added);
        if (error != FileSystemError.None)
        {
            return error;
        }

        byte[] copy = ArrayPool<byte>.Shared.Rent(format.BlockByteSize);
        LeafEntry[] entries = ArrayPool<LeafEntry>.Shared.Rent(format.BlockByteSize / DirectoryEntryOnDisk.TailByteLength);
        using (added)
        {
            Span<byte> source = copy.AsSpan(0, format.BlockByteSize);
            leaf.Bytes.CopyTo(source);
            int count = LeafEntry.Collect(format, source, path.HashKind, leaf.LogicalBlock, entries);
            Span<LeafEntry> sorted = entries.AsSpan(0, count);
            sorted.Sort();
            int split = ChooseSplit(sorted);
            uint hash = sorted[split].Major;
            bool isContinued = hash == sorted[split - 1].Major;
            Pack(blocks, source, sorted[split..], added);
            blocks.Modify(leaf);
            Pack(blocks, source, sorted[..split], leaf);
            using DirectoryBlock parent = blocks.Get(path.Block(path.Depth));
            Link(blocks, parent, path.Position(path.Depth), hash | (isContinued ? 1u : 0), added.LogicalBlock);
        }

        ArrayPool<byte>.Shared.Return(copy);
        ArrayPool<LeafEntry>.Shared.Return(entries);
        return FileSystemError.None;
    }

    /// <summary>
    /// Where the upper half begins: by bytes the middle, or a place near it that does not part names of one hash, which
    /// every later lookup of them would pay for with a second block.
    /// </summary>
    private static int ChooseSplit(ReadOnlySpan<LeafEntry> sorted)
    {
        int total = 0;
        foreach (LeafEntry entry in sorted)
        {
            total += entry.ByteLength;
        }

        int best = -1;
        int bestDistance = int.MaxValue;
        int middle = 1;
        int middleDistance = int.MaxValue;
        int before = 0;
        for (int i = 1; i < sorted.Length; i++)
        {
            before += sorted[i - 1].ByteLength;
            int distance = Math.Abs(total / 2 - before);
            if (distance < middleDistance)
            {
                (middle, middleDistance) = (i, distance);
            }

            if (distance < bestDistance && distance <= total / 4 && sorted[i].Major != sorted[i - 1].Major)
            {
                (best, bestDistance) = (i, distance);
            }
        }

        return best > 0 ? best : middle;
    }

    /// <summary>Fills a block with some of the entries of another.</summary>
    private static void Pack(
        IDirectoryBlocks blocks, ReadOnlySpan<byte> source, ReadOnlySpan<LeafEntry> entries, in DirectoryBlock target)
    {
        DirectoryFormat format = blocks.Format;
        DirectoryLeaf.Initialize(format, target.Bytes);
        int write = 0;
        int last = -1;
        foreach (LeafEntry entry in entries)
        {
            last = write;
            write += Copy(format, source, entry.Offset, target.Bytes, write);
        }

        Finish(format, target.Bytes, last);
        DirectoryBlockCheck.StoreChecksum(blocks, target);
    }

    /// <returns>The bytes that the copied entry takes.</returns>
    private static int Copy(DirectoryFormat format, ReadOnlySpan<byte> source, int offset, Span<byte> target, int write)
    {
        ReadOnlySpan<byte> name = DirectoryLeaf.NameAt(source, offset);
        int length = DirectoryEntryOnDisk.ByteLengthFor(name.Length);
        target.Slice(write, DirectoryEntryOnDisk.HeaderByteLength).Clear();
        DirectoryLeaf.WriteEntry(format, target, write, length, source.U32(offset), name, source[offset + 7]);
        return length;
    }

    /// <summary>The last entry takes the rest of the block.</summary>
    private static void Finish(DirectoryFormat format, Span<byte> block, int last)
    {
        if (last >= 0)
        {
            DirectoryLeaf.SetLength(format, block, last, format.EntriesByteLength - last);
        }
    }
}
