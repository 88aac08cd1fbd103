using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Cache;
using VDiskCrypt.Ext4.Extents;
using VDiskCrypt.Ext4.Inodes;
using VDiskCrypt.Ext4.OnDisk;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4.Files;

/// <content>The targets of symbolic links: up to 59 bytes in the inode, longer ones in a block.</content>
internal sealed partial class FileContent
{
    private const int LongestFastTarget = InodeOnDisk.BlockByteLength - 1;

    /// <summary>Stores the target of a new link; its map must be empty.</summary>
    public FileSystemError StoreTarget(TransactionHandle handle, Inode inode, ReadOnlySpan<byte> target)
    {
        inode.Size = target.Length;
        if (target.Length <= LongestFastTarget)
        {
            inode.Block.AsSpan().Clear();
            target.CopyTo(inode.Block);
            return FileSystemError.None;
        }

        InitializeMap(inode);
        MetadataBlock? block = AppendMetadataBlock(handle, inode, 0, BlockKind.SymbolicLink);
        if (block is null)
        {
            return FileSystemError.NoSpace;
        }

        target.CopyTo(block.Bytes);
        block.Dispose();
        return FileSystemError.None;
    }

    public FileSystemError ReadTarget(Inode inode, Span<byte> target, out int byteCount)
    {
        byteCount = 0;
        bool isFast = IsFastTarget(inode);
        if (inode.Size <= 0 || inode.Size > (isFast ? InodeOnDisk.BlockByteLength : _geometry.BlockByteSize))
        {
            throw VDiskException.Damaged(
                $"ext4 inode {inode.Number}", 0, "the length of the symbolic link is not valid", "check the filesystem with e2fsck");
        }

        var length = (int)inode.Size;
        if (length > target.Length)
        {
            return FileSystemError.RangeTooSmall;
        }

        if (isFast)
        {
            inode.Block.AsSpan(0, length).CopyTo(target);
        }
        else
        {
            using MetadataBlock block = GetMetadataBlock(inode, 0);
            block.Bytes[..length].CopyTo(target);
        }

        byteCount = length;
        return FileSystemError.None;
    }

    /// <summary>
    /// A target in the inode. The kernel decides by the length too; i_blocks may count attributes, so it does not tell.
    /// </summary>
    private static bool IsFastTarget(Inode inode) => !inode.HasExtents && inode.Size <= LongestFastTarget;

    /// <summary>The cached block behind a logical block of a directory or a symbolic link, pinned.</summary>
    public MetadataBlock GetMetadataBlock(Inode inode, uint logical) =>
        TryGetMetadataBlock(inode, logical) ?? throw VDiskException.Damaged(
            $"ext4 inode {inode.Number}", 0, $"logical block {logical} is not mapped", "check the filesystem with e2fsck");

    /// <summary>As <see cref="GetMetadataBlock"/>; null for a hole.</summary>
    public MetadataBlock? TryGetMetadataBlock(Inode inode, uint logical)
    {
        Mapping mapping = Map(inode, logical);
        if (!mapping.IsData)
        {
            return null;
        }

        MetadataBlock block = _cache.Get(mapping.Physical + (logical - mapping.First));
        if (block.VerifiedAs is BlockKind.Bitmap or BlockKind.InodeTable or BlockKind.ExtentNode or BlockKind.PointerBlock
            or BlockKind.OrphanFile or BlockKind.Attributes)
        {
            block.Dispose();
            throw VDiskException.Damaged(
                $"ext4 inode {inode.Number}", 0, $"logical block {logical} belongs to another structure",
                "check the filesystem with e2fsck");
        }

        return block;
    }

    /// <summary>Allocates, maps and zeroes a block of a directory or a symbolic link, pinned; null when space is out.</summary>
    public MetadataBlock? AppendMetadataBlock(TransactionHandle handle, Inode inode, uint logical, BlockKind kind)
    {
        lock (inode.Map)
        {
            uint count = 1;
            if (!MapHole(handle, inode, logical, ref count, asUnwritten: false, isAtEnd: false))
            {
                return null;
            }

            Mapping mapping = MapLocked(inode, logical);
            return _cache.GetNew(mapping.Physical + (logical - mapping.First), kind, handle);
        }
    }
}
