using VDiskCrypt.Core;
using VDiskCrypt.Ext4.OnDisk;

namespace VDiskCrypt.Ext4.Directories;

/// <summary>
/// Accepts or refuses a directory block that was read, and keeps its checksum. A refused block is
/// <see cref="FailureKind.Damaged"/>, with its place.
/// </summary>
internal static class DirectoryBlockCheck
{
    private const int MinimumEntryByteLength = 12;
    private const string Remedy = "check the filesystem with e2fsck";

    /// <summary>Throws unless the block is sound as what it is: a leaf, the root of an index or a node of one.</summary>
    public static void Verify(IDirectoryBlocks blocks, uint logicalBlock, Span<byte> block)
    {
        if (IsIndexBlock(blocks, logicalBlock, block))
        {
            VerifyIndex(blocks, logicalBlock, block);
        }
        else
        {
            VerifyLeaf(blocks, logicalBlock, block);
        }
    }

    /// <summary>Stores the checksum after a change, where the filesystem has them.</summary>
    public static void StoreChecksum(IDirectoryBlocks blocks, in DirectoryBlock block)
    {
        if (!blocks.Format.HasChecksums)
        {
            return;
        }

        if (IsIndexBlock(blocks, block.LogicalBlock, block.Bytes))
        {
            var node = new IndexNode(block);
            int tail = node.EntriesOffset + node.Limit * IndexNode.EntryByteLength;
            block.Bytes.SetU32(tail, 0);
            block.Bytes.SetU32(tail + 4, IndexChecksum(blocks, node));
        }
        else
        {
            block.Bytes.SetU32(block.Bytes.Length - 4, MetadataChecksum.DirectoryBlock(blocks.ChecksumSeed, block.Bytes));
        }
    }

    /// <summary>
    /// Block 0 of an indexed directory is the root. Another block is a node when its first entry is unused and spans all of
    /// it; an empty leaf looks the same where there are no checksum tails, and is sound as a leaf.
    /// </summary>
    public static bool IsIndexBlock(IDirectoryBlocks blocks, uint logicalBlock, ReadOnlySpan<byte> block) =>
        blocks.IsIndexed
        && (logicalBlock == 0
            || blocks.Format.HasChecksums && block.U32(0) == 0 && block[6] == 0
            && DirectoryEntryOnDisk.DecodeLength(block.U16(4), block.Length) == block.Length);

    /// <summary>A node that an index refers to; without checksum tails only the way to it tells that it is one.</summary>
    public static void RequireNode(IDirectoryBlocks blocks, in DirectoryBlock block)
    {
        DirectoryFormat format = blocks.Format;
        ReadOnlySpan<byte> bytes = block.Bytes;
        var node = new IndexNode(block);
        if (block.LogicalBlock == 0 || bytes.U32(0) != 0
            || DirectoryEntryOnDisk.DecodeLength(bytes.U16(4), format.BlockByteSize) != format.BlockByteSize
            || node.Limit != IndexNode.LimitOf(format, isRoot: false) || node.Count == 0 || node.Count > node.Limit)
        {
            throw Damaged(blocks, block.LogicalBlock, 0, "a block of the directory's index is not one");
        }
    }

    public static VDiskException Damaged(IDirectoryBlocks blocks, uint logicalBlock, int offset, string what) =>
        VDiskException.Damaged(
            $"directory (inode {blocks.InodeNumber}), block {logicalBlock},",
            (long)logicalBlock * blocks.Format.BlockByteSize + offset, what, Remedy);

    public static VDiskException Broken(string what, int offset) =>
        VDiskException.Damaged("directory block", offset, what, Remedy);

    private static void VerifyLeaf(IDirectoryBlocks blocks, uint logicalBlock, ReadOnlySpan<byte> block)
    {
        DirectoryFormat format = blocks.Format;
        if (format.HasChecksums)
        {
            ReadOnlySpan<byte> tail = block[^DirectoryEntryOnDisk.TailByteLength..];
            if (tail.U32(0) != 0 || tail.U16(4) != DirectoryEntryOnDisk.TailByteLength || tail[6] != 0
                || tail[7] != DirectoryEntryOnDisk.TypeChecksumTail)
            {
                throw Damaged(blocks, logicalBlock, format.EntriesByteLength, "a directory block has no checksum");
            }

            if (tail.U32(8) != MetadataChecksum.DirectoryBlock(blocks.ChecksumSeed, block))
            {
                throw Damaged(blocks, logicalBlock, format.EntriesByteLength, "a directory block's checksum does not match");
            }
        }

        int end = format.EntriesByteLength;
        int index = 0;
        for (int offset = 0; offset < end; index++)
        {
            offset += CheckEntry(blocks, logicalBlock, block, offset, end, index);
        }

        if (logicalBlock == 0 && index < 2)
        {
            throw Damaged(blocks, 0, 0, "the directory has no entries \".\" and \"..\"");
        }
    }

    /// <returns>The entry's rec_len.</returns>
    private static int CheckEntry(
        IDirectoryBlocks blocks, uint logicalBlock, ReadOnlySpan<byte> block, int offset, int end, int index)
    {
        if (end - offset < MinimumEntryByteLength)
        {
            throw Damaged(blocks, logicalBlock, offset, "a directory entry ends too close to the end of its block");
        }

        int length = DirectoryEntryOnDisk.DecodeLength(block.U16(offset + 4), block.Length);
        if (length < MinimumEntryByteLength || length % 4 != 0 || length > end - offset)
        {
            throw Damaged(blocks, logicalBlock, offset, $"a directory entry is {length} bytes long");
        }

        bool isDotPlace = logicalBlock == 0 && index < 2;
        uint inode = block.U32(offset);
        int nameLength = block[offset + 6];
        if (inode == 0 && !isDotPlace)
        {
            return length;
        }

        if (inode == 0 || inode > blocks.Format.InodeCount)
        {
            throw Damaged(blocks, logicalBlock, offset, $"a directory entry names inode {inode}, which does not exist");
        }

        if (nameLength == 0 || DirectoryEntryOnDisk.ByteLengthFor(nameLength) > length)
        {
            throw Damaged(blocks, logicalBlock, offset, $"a directory entry's name is {nameLength} bytes long");
        }

        // A second ".." or a slash in a name would lead whoever copies the tree out of it.
        ReadOnlySpan<byte> name = DirectoryLeaf.NameAt(block, offset);
        bool isSound = isDotPlace
            ? name.Length == index + 1 && DirectoryLeaf.IsDotOrDotDot(name) && (index == 1 || length == MinimumEntryByteLength)
            : !DirectoryLeaf.IsDotOrDotDot(name) && !name.ContainsAny((byte)'/', (byte)0);
        return isSound ? length : throw Damaged(blocks, logicalBlock, offset, "a directory entry's name is not allowed there");
    }

    private static void VerifyIndex(IDirectoryBlocks blocks, uint logicalBlock, Span<byte> block)
    {
        DirectoryFormat format = blocks.Format;
        bool isRoot = logicalBlock == 0;
        var node = new IndexNode(block, isRoot);
        if (isRoot)
        {
            VerifyRoot(blocks, node);
        }

        if (node.Limit != IndexNode.LimitOf(format, isRoot) || node.Count == 0 || node.Count > node.Limit)
        {
            throw Damaged(
                blocks, logicalBlock, node.EntriesOffset,
                $"the directory's index has {node.Count} entries in a node for {node.Limit}");
        }

        int tail = node.EntriesOffset + node.Limit * IndexNode.EntryByteLength;
        if (format.HasChecksums && block.U32(tail + 4) != IndexChecksum(blocks, node))
        {
            throw Damaged(blocks, logicalBlock, tail, "the checksum of the directory's index does not match");
        }
    }

    private static void VerifyRoot(IDirectoryBlocks blocks, IndexNode root)
    {
        ReadOnlySpan<byte> block = root.Bytes;
        int first = CheckEntry(blocks, 0, block, 0, block.Length, 0);
        int second = CheckEntry(blocks, 0, block, DirectoryLeaf.ParentOffset, block.Length, 1);
        if (first + second != block.Length)
        {
            throw Damaged(blocks, 0, 0, "the entry \"..\" does not span the directory's index");
        }

        const int Info = IndexNode.RootInfoOffset;
        if (block.U32(Info) != 0 || block[Info + 5] != IndexNode.RootInfoByteLength || (block[Info + 7] & 1) != 0
            || root.Depth > blocks.Format.MaximumIndexDepth)
        {
            throw Damaged(blocks, 0, Info, "the header of the directory's index is not valid");
        }

        if (blocks.Format.HashKindOf(root.HashVersion) is null)
        {
            throw VDiskException.Unsupported(
                $"directory (inode {blocks.InodeNumber})", $"its index uses the unknown hash {root.HashVersion}", Remedy);
        }
    }

    private static uint IndexChecksum(IDirectoryBlocks blocks, IndexNode node) =>
        MetadataChecksum.IndexBlock(blocks.ChecksumSeed, node.Bytes, node.EntriesOffset, node.Count, node.Limit);
}
