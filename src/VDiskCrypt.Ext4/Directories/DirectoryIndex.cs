using VDiskCrypt.Core;

namespace VDiskCrypt.Ext4.Directories;

/// <summary>
/// The hash index of a directory: finding the leaf for a hash, going on to the next one, adding a name. Source: Linux
/// Documentation/filesystems/ext4/directory.rst, "Hash Tree Directories".
/// </summary>
internal static partial class DirectoryIndex
{
    /// <summary>Goes from the root to the leaf that names of a hash begin in.</summary>
    /// <param name="blocks">An indexed directory.</param>
    /// <param name="hash">The major hash.</param>
    /// <param name="path">The way to the leaf.</param>
    /// <returns>The leaf's logical block.</returns>
    public static uint Probe(IDirectoryBlocks blocks, uint hash, out IndexPath path)
    {
        path = default;
        using (DirectoryBlock root = blocks.Get(0))
        {
            var node = new IndexNode(root);
            path.Depth = node.Depth;
            path.HashKind = KindOf(blocks, node);
        }

        path.LeafCount = 1;
        return Descend(blocks, ref path, 0, 0, hash);
    }

    /// <summary>The hash function of an indexed directory.</summary>
    public static DirectoryHashKind HashKindOf(IDirectoryBlocks blocks)
    {
        using DirectoryBlock root = blocks.Get(0);
        return KindOf(blocks, new IndexNode(root));
    }

    /// <summary>Goes on to the leaf behind the one that a path leads to.</summary>
    /// <param name="blocks">The directory.</param>
    /// <param name="path">Follows.</param>
    /// <param name="leaf">The leaf's logical block.</param>
    /// <param name="hash">The hash that the index has for it; with its low bit, names of it are in the leaf before too.</param>
    /// <returns>False at the end of the directory; the path is unchanged then.</returns>
    public static bool MoveNext(IDirectoryBlocks blocks, ref IndexPath path, out uint leaf, out uint hash) =>
        MoveNext(blocks, ref path, wantedHash: null, out leaf, out hash);

    /// <summary>Finds a name.</summary>
    /// <param name="blocks">An indexed directory.</param>
    /// <param name="name">Neither "." nor "..".</param>
    /// <param name="previous">The offset of the entry before it in its block; -1 when it is the first.</param>
    /// <param name="offset">Its offset in its block; -1 when it was not found.</param>
    /// <returns>The leaf's logical block.</returns>
    public static uint Find(IDirectoryBlocks blocks, ReadOnlySpan<byte> name, out int offset, out int previous)
    {
        uint hash = blocks.Format.Hash(HashKindOf(blocks), name).Major;
        uint leaf = Probe(blocks, hash, out IndexPath path);
        do
        {
            using DirectoryBlock block = blocks.Get(leaf);
            offset = DirectoryLeaf.Find(blocks.Format, block.Bytes, name, out previous);
            if (offset >= 0)
            {
                return leaf;
            }
        }
        while (MoveNext(blocks, ref path, hash, out leaf, out _));

        return 0;
    }

    private static bool MoveNext(IDirectoryBlocks blocks, ref IndexPath path, uint? wantedHash, out uint leaf, out uint hash)
    {
        leaf = 0;
        hash = 0;
        for (int level = path.Depth; level >= 0; level--)
        {
            using DirectoryBlock block = blocks.Get(path.Block(level));
            var node = new IndexNode(block);
            int position = path.Position(level) + 1;
            if (position >= node.Count)
            {
                continue;
            }

            hash = node.Hash(position);
            if (wantedHash is { } wanted && (hash & ~1u) != wanted)
            {
                return false;
            }

            if (++path.LeafCount > blocks.BlockCount)
            {
                throw DirectoryBlockCheck.Damaged(blocks, 0, 0, "the directory's index leads in circles");
            }

            path.Set(level, block.LogicalBlock, position);
            leaf = level == path.Depth
                ? Child(blocks, block, position)
                : Descend(blocks, ref path, level + 1, Child(blocks, block, position), 0);
            return true;
        }

        return false;
    }

    /// <summary>From a node at <paramref name="level"/> down to a leaf.</summary>
    private static uint Descend(IDirectoryBlocks blocks, ref IndexPath path, int level, uint logicalBlock, uint hash)
    {
        for (; level <= path.Depth; level++)
        {
            using DirectoryBlock block = blocks.Get(logicalBlock);
            if (level > 0)
            {
                DirectoryBlockCheck.RequireNode(blocks, block);
            }

            int position = new IndexNode(block).Find(hash);
            path.Set(level, logicalBlock, position);
            logicalBlock = Child(blocks, block, position);
        }

        return logicalBlock;
    }

    private static uint Child(IDirectoryBlocks blocks, in DirectoryBlock block, int position)
    {
        uint child = new IndexNode(block).Block(position);
        return child != 0 && child < blocks.BlockCount
            ? child
            : throw DirectoryBlockCheck.Damaged(
                blocks, block.LogicalBlock, 0, $"the directory's index refers to block {child} of {blocks.BlockCount}");
    }

    private static DirectoryHashKind KindOf(IDirectoryBlocks blocks, IndexNode root) =>
        blocks.Format.HashKindOf(root.HashVersion)
        ?? throw VDiskException.Unsupported($"directory (inode {blocks.InodeNumber})", "its index uses an unknown hash");
}
