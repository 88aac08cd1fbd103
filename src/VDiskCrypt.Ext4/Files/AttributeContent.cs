using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Allocation;
using VDiskCrypt.Ext4.Cache;
using VDiskCrypt.Ext4.Inodes;
using VDiskCrypt.Ext4.OnDisk;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4.Files;

/// <summary>Extended attributes and access control lists of inodes.</summary>
internal sealed class AttributeContent(MetadataChecksum checksum, BlockCache cache, BlockAllocator blocks)
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

    /// <summary>
    /// Gives up the block of attributes of an inode that goes. Several inodes may share one: it is free with the last.
    /// Source: Linux Documentation/filesystems/ext4/attributes.rst.
    /// </summary>
    public void Release(TransactionHandle handle, Inode inode)
    {
        const uint BlockMagic = 0xEA020000;
        const int ReferenceCountOffset = 4;
        const int ChecksumOffset = 0x10;
        if (inode.AttributeBlock == 0)
        {
            return;
        }

        using (MetadataBlock block = cache.Get(inode.AttributeBlock))
        {
            lock (block)
            {
                uint count = block.Bytes.U32(ReferenceCountOffset);
                if (block.Bytes.U32(0) != BlockMagic || count == 0)
                {
                    throw VDiskException.Damaged($"ext4 inode {inode.Number}", 0, "its block of extended attributes is none",
                        "check the filesystem with e2fsck");
                }

                if (count > 1)
                {
                    handle.Modify(block);
                    block.Bytes.SetU32(ReferenceCountOffset, count - 1);
                    if (checksum.IsEnabled)
                    {
                        block.Bytes.SetU32(ChecksumOffset, checksum.AttributeBlock(inode.AttributeBlock, block.Bytes));
                    }

                    return;
                }
            }
        }

        blocks.FreeMetadata(handle, inode.AttributeBlock, 1);
    }
}
