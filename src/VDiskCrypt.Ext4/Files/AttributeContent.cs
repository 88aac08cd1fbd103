using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Allocation;
using VDiskCrypt.Ext4.Cache;
using VDiskCrypt.Ext4.Inodes;
using VDiskCrypt.Ext4.OnDisk;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4.Files;

/// <summary>Extended attributes and access control lists of inodes.</summary>
internal sealed class AttributeContent(
    Geometry geometry, MetadataChecksum checksum, BlockCache cache, BlockAllocator blocks, InodeStore inodes)
{
    public FileSystemError Get(Inode inode, ReadOnlySpan<byte> name, Span<byte> value, out int byteCount)
    {
        byteCount = 0;
        return FileSystemError.NotSupported;
    }

    public FileSystemError List(Inode inode, Span<byte> names, out int byteCount)
    {
        byteCount = 0;
        return FileSystemError.None;
    }

    public FileSystemError Set(
        TransactionHandle handle, Inode inode, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, SetAttributeMode mode) =>
        FileSystemError.NotSupported;

    public FileSystemError Remove(TransactionHandle handle, Inode inode, ReadOnlySpan<byte> name) => FileSystemError.NotSupported;

    public FileSystemError Inherit(TransactionHandle handle, Inode inode, Inode parent, uint umask)
    {
        inode.Mode &= ~(umask & UnixMode.PermissionMask);
        return FileSystemError.None;
    }

    public FileSystemError ChangeMode(TransactionHandle handle, Inode inode, uint mode) => FileSystemError.None;

    public void Release(TransactionHandle handle, Inode inode)
    {
        if (inode.AttributeBlock != 0)
        {
            _ = (geometry, checksum, cache, inodes);
            blocks.FreeMetadata(handle, inode.AttributeBlock, 1);
        }
    }
}
