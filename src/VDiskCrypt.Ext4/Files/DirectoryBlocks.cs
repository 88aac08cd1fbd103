using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Cache;
using VDiskCrypt.Ext4.Directories;
using VDiskCrypt.Ext4.Inodes;
using VDiskCrypt.Ext4.OnDisk;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4.Files;

/// <summary>
/// One directory's blocks out of the buffer cache, for the length of one operation. One object per thread is used again
/// and again: operations on directories do not nest.
/// </summary>
internal sealed class DirectoryBlocks(DirectoryFormat format, FileContent content) : IDirectoryBlocks
{
    private Inode _inode = null!;
    private TransactionHandle? _handle;

    public DirectoryFormat Format => format;

    public uint InodeNumber => _inode.Number;

    public uint ChecksumSeed => _inode.ChecksumSeed;

    public uint BlockCount => (uint)(_inode.Size / format.BlockByteSize);

    public bool IsIndexed
    {
        get => format.HasIndexes && (_inode.Flags & InodeFlags.DirectoryIndex) != 0;
        set => _inode.Flags = value ? _inode.Flags | InodeFlags.DirectoryIndex : _inode.Flags & ~InodeFlags.DirectoryIndex;
    }

    /// <param name="inode">The directory; its lock is held.</param>
    /// <param name="handle">Null for lookups and listings.</param>
    public DirectoryBlocks Of(Inode inode, TransactionHandle? handle)
    {
        _inode = inode;
        _handle = handle;
        return this;
    }

    public DirectoryBlock Get(uint logicalBlock)
    {
        MetadataBlock block = content.GetMetadataBlock(_inode, logicalBlock);
        try
        {
            if (block.VerifiedAs != BlockKind.Directory)
            {
                DirectoryBlockCheck.Verify(this, logicalBlock, block.Bytes);
                block.VerifiedAs = BlockKind.Directory;
            }

            return new DirectoryBlock(logicalBlock, block.Bytes, block);
        }
        catch
        {
            block.Dispose();
            throw;
        }
    }

    public void Modify(in DirectoryBlock block) => _handle!.Modify((MetadataBlock)block.Pin!);

    public FileSystemError Append(out DirectoryBlock block)
    {
        uint logicalBlock = BlockCount;
        MetadataBlock? added = content.AppendMetadataBlock(_handle!, _inode, logicalBlock, BlockKind.Directory);
        if (added is null)
        {
            block = default;
            return FileSystemError.NoSpace;
        }

        _inode.Size += format.BlockByteSize;
        block = new DirectoryBlock(logicalBlock, added.Bytes, added);
        return FileSystemError.None;
    }
}
