using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Cache;
using VDiskCrypt.Ext4.Inodes;
using VDiskCrypt.Ext4.OnDisk;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4.Attributes;

/// <content>Changing. The caller saves the inode afterwards, in the same handle.</content>
internal sealed partial class AttributeContent
{
    /// <summary>Sets an attribute. What does not fit into a block beside the others is <see cref="FileSystemError.NoSpace"/>.</summary>
    public FileSystemError Set(
        TransactionHandle handle, Inode inode, ReadOnlySpan<byte> fullName, ReadOnlySpan<byte> value, SetAttributeMode mode)
    {
        FileSystemError error = ParseForChange(inode, fullName, out AttributeName name);
        if (error != FileSystemError.None)
        {
            return error;
        }

        if (name.IsAccessControlList)
        {
            // As in the kernel's set_posix_acl, "create" and "replace" mean nothing to a list.
            return SetList(handle, inode, name, value);
        }

        if (name.Index == AttributeName.SystemIndex)
        {
            return FileSystemError.NotSupported;
        }

        AttributeSet set = Load(inode);
        bool exists = set.Find(name) is not null;
        if (mode == SetAttributeMode.Create && exists)
        {
            return FileSystemError.AlreadyExists;
        }

        if (mode == SetAttributeMode.Replace && !exists)
        {
            return FileSystemError.NoAttribute;
        }

        error = set.TryPut(name, value) ? Store(handle, inode, set) : FileSystemError.NoSpace;
        if (name.IsCapability)
        {
            inode.HasNoCapability = false;
        }

        return error;
    }

    /// <summary>Removes an attribute. As in the kernel, a list that is not there is removed without complaint.</summary>
    public FileSystemError Remove(TransactionHandle handle, Inode inode, ReadOnlySpan<byte> fullName)
    {
        FileSystemError error = ParseForChange(inode, fullName, out AttributeName name);
        if (error != FileSystemError.None)
        {
            return error;
        }

        AttributeSet set = Load(inode);
        return set.Remove(name) ? Store(handle, inode, set)
            : name.IsAccessControlList ? FileSystemError.None : FileSystemError.NoAttribute;
    }

    /// <summary>Takes the file capabilities away, before contents or owner change; the inode's lock is held exclusive.</summary>
    public FileSystemError RemoveCapability(TransactionHandle handle, Inode inode)
    {
        AttributeSet set = Load(inode);
        FileSystemError error = set.Remove(AttributeName.Capability) ? Store(handle, inode, set) : FileSystemError.None;
        inode.HasNoCapability = error == FileSystemError.None;
        return error;
    }

    /// <summary>Whether there are file capabilities; remembered when there are none.</summary>
    public bool HasCapability(Inode inode)
    {
        if (inode.HasNoCapability)
        {
            return false;
        }

        try
        {
            bool exists = Get(inode, AttributeName.Capability, default, out _) == FileSystemError.None;
            inode.HasNoCapability = !exists;
            return exists;
        }
        catch (VDiskException exception) when (exception.Kind == FailureKind.Damaged)
        {
            // Attributes that cannot be read give nobody capabilities, and must not keep the contents from being written.
            return false;
        }
    }

    /// <summary>Gives up the block of attributes of an inode that goes; what lies in the inode goes with it.</summary>
    public void Release(TransactionHandle handle, Inode inode)
    {
        ulong number = inode.AttributeBlock;
        if (number == 0)
        {
            return;
        }

        if (BlockIsSound(inode))
        {
            DropUser(handle, inode, number);
        }

        lock (inode.Map)
        {
            inode.AttributeBlock = 0;
            inode.Blocks512 -= Math.Min(inode.Blocks512, BlockCount512);
        }
    }

    /// <summary>A damaged block stays in use when its inode goes: that costs space until e2fsck finds it, and no data.</summary>
    private bool BlockIsSound(Inode inode)
    {
        try
        {
            GetBlock(inode).Dispose();
            return true;
        }
        catch (VDiskException exception) when (exception.Kind == FailureKind.Damaged)
        {
            return false;
        }
    }

    private ulong BlockCount512 => 1UL << (geometry.BlockBits - 9);

    private static FileSystemError ParseForChange(Inode inode, ReadOnlySpan<byte> fullName, out AttributeName name)
    {
        FileSystemError error = AttributeName.Parse(fullName, out name);
        return error != FileSystemError.None ? error
            : name.IsAccessControlList && inode.IsSymbolicLink ? FileSystemError.NotSupported
            : IsRefusedUserName(inode, name) ? FileSystemError.NotPermitted : FileSystemError.None;
    }

    private AttributeSet Load(Inode inode)
    {
        AttributeSet set;
        using (MetadataBlock table = inodes.GetTableBlock(inode.Number, out int byteOffset))
        {
            lock (table)
            {
                int bodyCapacity = Math.Max(0, BodySpace(table, byteOffset).Length - AttributeFormat.BodyHeaderByteLength);
                set = new AttributeSet(bodyCapacity, geometry.BlockByteSize - AttributeFormat.BlockHeaderByteLength);
                AttributeSet.Load(ReadBody(inode, table, byteOffset), set.Body);
            }
        }

        if (inode.AttributeBlock != 0)
        {
            using MetadataBlock block = GetBlock(inode);
            lock (block)
            {
                AttributeSet.Load(AttributeArea.OfBlock(block.Bytes), set.Block);
            }
        }

        return set;
    }

    /// <summary>The block first: only it can fail, and then nothing has changed.</summary>
    private FileSystemError Store(TransactionHandle handle, Inode inode, AttributeSet set)
    {
        if (set.BlockIsChanged)
        {
            FileSystemError error = StoreBlock(handle, inode, set.Block);
            if (error != FileSystemError.None)
            {
                return error;
            }
        }

        if (set.BodyIsChanged)
        {
            StoreBody(handle, inode, set.Body);
        }

        return FileSystemError.None;
    }

    private void StoreBody(TransactionHandle handle, Inode inode, List<AttributeRecord> records)
    {
        using MetadataBlock table = inodes.GetTableBlock(inode.Number, out int byteOffset);
        handle.Modify(table);
        lock (table)
        {
            AttributeLayout.WriteBody(BodySpace(table, byteOffset), records);
            inodes.StoreChecksum(inode, new InodeOnDisk(table.Bytes.Slice(byteOffset, geometry.InodeByteSize)));
        }
    }

    private FileSystemError StoreBlock(TransactionHandle handle, Inode inode, List<AttributeRecord> records)
    {
        if (records.Count == 0)
        {
            Release(handle, inode);
            return FileSystemError.None;
        }

        ulong old = inode.AttributeBlock;
        if (old != 0 && TryStoreInPlace(handle, inode, records))
        {
            return FileSystemError.None;
        }

        ulong goal = geometry.FirstBlockOf(geometry.GroupOfInode(inode.Number));
        if (!blocks.Allocate(handle, goal, 1, null, 0, out ulong number, out _))
        {
            return FileSystemError.NoSpace;
        }

        using (MetadataBlock block = cache.GetNew(number, BlockKind.Attributes, handle))
        {
            lock (block)
            {
                WriteBlock(block, records);
            }
        }

        if (old != 0)
        {
            DropUser(handle, inode, old);
        }

        lock (inode.Map)
        {
            inode.AttributeBlock = number;
            inode.Blocks512 += old == 0 ? BlockCount512 : 0;
        }

        return FileSystemError.None;
    }

    private bool TryStoreInPlace(TransactionHandle handle, Inode inode, List<AttributeRecord> records)
    {
        using MetadataBlock block = GetBlock(inode);
        lock (block)
        {
            if (block.Bytes.U32(AttributeFormat.ReferenceCountOffset) != 1)
            {
                return false;
            }

            handle.Modify(block);
            WriteBlock(block, records);
            return true;
        }
    }

    private void WriteBlock(MetadataBlock block, List<AttributeRecord> records)
    {
        AttributeLayout.WriteBlock(block.Bytes, records);
        StoreChecksum(block);
    }

    /// <summary>One user less. With the last user the block is free.</summary>
    private void DropUser(TransactionHandle handle, Inode inode, ulong number)
    {
        using (MetadataBlock block = GetBlock(inode))
        {
            lock (block)
            {
                uint count = block.Bytes.U32(AttributeFormat.ReferenceCountOffset);
                if (count > 1)
                {
                    handle.Modify(block);
                    block.Bytes.SetU32(AttributeFormat.ReferenceCountOffset, count - 1);
                    StoreChecksum(block);
                    return;
                }
            }
        }

        blocks.FreeMetadata(handle, number, 1);
    }

    private void StoreChecksum(MetadataBlock block)
    {
        if (checksum.IsEnabled)
        {
            block.Bytes.SetU32(AttributeFormat.ChecksumOffset, checksum.AttributeBlock(block.Number, block.Bytes));
        }
    }
}
