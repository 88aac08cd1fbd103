using VDiskCrypt.Core;
using VDiskCrypt.Ext4.OnDisk;

namespace VDiskCrypt.Ext4.Directories;

/// <summary>
/// What a filesystem does with a directory, linear or indexed: look up, add, remove and replace names, list them. The
/// caller holds the directory's lock and has checked that names are 1 to 255 bytes long. Checksums are kept.
/// </summary>
internal static partial class DirectoryOperations
{
    /// <summary>The most blocks that one change touches, new ones included: root, two levels of nodes and a leaf, each split.</summary>
    public const int MaximumChangedBlockCount = 12;

    /// <summary>Finds a name; "." and ".." are names too.</summary>
    public static bool Lookup(IDirectoryBlocks blocks, ReadOnlySpan<byte> name, out uint inode, out byte fileType)
    {
        inode = 0;
        fileType = DirectoryEntryOnDisk.TypeUnknown;
        uint logicalBlock = Find(blocks, name, out int offset, out _);
        if (offset < 0)
        {
            return false;
        }

        using DirectoryBlock block = blocks.Get(logicalBlock);
        Read(blocks, block, offset, out inode, out fileType);
        return true;
    }

    /// <summary>Adds a name that the caller knows not to be there.</summary>
    /// <returns>NoSpace when no block is left or the index cannot grow.</returns>
    public static FileSystemError Insert(IDirectoryBlocks blocks, ReadOnlySpan<byte> name, uint inode, byte fileType)
    {
        RequireName(name);
        if (blocks.IsIndexed)
        {
            return DirectoryIndex.Insert(blocks, name, inode, fileType);
        }

        for (uint i = 0; i < blocks.BlockCount; i++)
        {
            using DirectoryBlock block = blocks.Get(i);
            if (DirectoryLeaf.TryInsert(blocks.Format, block, blocks, name, inode, fileType))
            {
                DirectoryBlockCheck.StoreChecksum(blocks, block);
                return FileSystemError.None;
            }
        }

        if (blocks.BlockCount == 1 && blocks.Format.HasIndexes)
        {
            FileSystemError converted = DirectoryIndex.Convert(blocks);
            return converted == FileSystemError.None ? DirectoryIndex.Insert(blocks, name, inode, fileType) : converted;
        }

        FileSystemError error = blocks.Append(out DirectoryBlock added);
        if (error != FileSystemError.None)
        {
            return error;
        }

        using (added)
        {
            DirectoryLeaf.Initialize(blocks.Format, added.Bytes);
            DirectoryLeaf.InsertAt(blocks.Format, added.Bytes, 0, name, inode, fileType);
            DirectoryBlockCheck.StoreChecksum(blocks, added);
        }

        return FileSystemError.None;
    }

    /// <summary>Removes a name other than "." and "..".</summary>
    /// <returns>False when it is not there.</returns>
    public static bool Remove(IDirectoryBlocks blocks, ReadOnlySpan<byte> name)
    {
        RequireName(name);
        uint logicalBlock = Find(blocks, name, out int offset, out int previous);
        if (offset < 0)
        {
            return false;
        }

        using DirectoryBlock block = blocks.Get(logicalBlock);
        blocks.Modify(block);
        DirectoryLeaf.Remove(blocks.Format, block.Bytes, offset, previous);
        DirectoryBlockCheck.StoreChecksum(blocks, block);
        return true;
    }

    /// <summary>Lets a name stand for another inode; ".." too, when a directory moved.</summary>
    /// <returns>False when it is not there.</returns>
    public static bool Replace(IDirectoryBlocks blocks, ReadOnlySpan<byte> name, uint inode, byte fileType)
    {
        uint logicalBlock = Find(blocks, name, out int offset, out _);
        if (offset < 0)
        {
            return false;
        }

        using DirectoryBlock block = blocks.Get(logicalBlock);
        blocks.Modify(block);
        Span<byte> bytes = block.Bytes;
        bytes.SetU32(offset, inode);
        bytes[offset + 7] = blocks.Format.HasFileTypes ? fileType : DirectoryEntryOnDisk.TypeUnknown;
        DirectoryBlockCheck.StoreChecksum(blocks, block);
        return true;
    }

    /// <summary>Fills the first block of a new directory, which the caller has appended.</summary>
    public static void Initialize(IDirectoryBlocks blocks, in DirectoryBlock block, uint parentInode)
    {
        DirectoryLeaf.InitializeFirst(blocks.Format, block.Bytes, blocks.InodeNumber, parentInode);
        DirectoryBlockCheck.StoreChecksum(blocks, block);
    }

    /// <summary>Whether there is no name but "." and "..".</summary>
    public static bool IsEmpty(IDirectoryBlocks blocks)
    {
        for (uint i = 0; i < blocks.BlockCount; i++)
        {
            using DirectoryBlock block = blocks.Get(i);
            bool isIndexBlock = DirectoryBlockCheck.IsIndexBlock(blocks, i, block.Bytes);
            if (!isIndexBlock && !DirectoryLeaf.IsEmpty(blocks.Format, block.Bytes))
            {
                return false;
            }
        }

        return true;
    }

    /// <returns>The logical block of the entry; <paramref name="offset"/> is -1 when there is none.</returns>
    private static uint Find(IDirectoryBlocks blocks, ReadOnlySpan<byte> name, out int offset, out int previous)
    {
        if (DirectoryLeaf.IsDotOrDotDot(name))
        {
            // Their places are fixed, also in the root of an index.
            offset = (name.Length - 1) * DirectoryLeaf.ParentOffset;
            previous = offset - DirectoryLeaf.ParentOffset;
            return 0;
        }

        if (blocks.IsIndexed)
        {
            return DirectoryIndex.Find(blocks, name, out offset, out previous);
        }

        offset = -1;
        previous = -1;
        for (uint i = 0; i < blocks.BlockCount; i++)
        {
            using DirectoryBlock block = blocks.Get(i);
            offset = DirectoryLeaf.Find(blocks.Format, block.Bytes, name, out previous);
            if (offset >= 0)
            {
                return i;
            }
        }

        return 0;
    }

    private static void Read(IDirectoryBlocks blocks, in DirectoryBlock block, int offset, out uint inode, out byte fileType)
    {
        inode = block.Bytes.U32(offset);
        fileType = blocks.Format.HasFileTypes ? block.Bytes[offset + 7] : DirectoryEntryOnDisk.TypeUnknown;
    }

    private static void RequireName(ReadOnlySpan<byte> name)
    {
        if (name.Length is 0 or > DirectoryEntryOnDisk.MaximumNameLength || DirectoryLeaf.IsDotOrDotDot(name))
        {
            throw new VDiskException(FailureKind.Internal, "a directory was asked to hold a name that is not one");
        }
    }
}
