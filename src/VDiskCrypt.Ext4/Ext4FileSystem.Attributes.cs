using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Concurrency;
using VDiskCrypt.Ext4.Inodes;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4;

/// <content>Attributes, extended attributes and listing.</content>
public sealed partial class Ext4FileSystem
{
    private const int AttributeCredits = 16;

    /// <inheritdoc/>
    public FileSystemError GetAttributes(ulong inode, out InodeAttributes attributes)
    {
        attributes = default;
        Inode? found = _inodes.TryGet(inode);
        if (found is null)
        {
            return FileSystemError.StaleInode;
        }

        attributes = AttributesOf(found);
        found.Unpin();
        return FileSystemError.None;
    }

    /// <inheritdoc/>
    public FileSystemError SetAttributes(ulong inode, in AttributeChange change, out InodeAttributes attributes)
    {
        attributes = default;
        if (_isReadOnly)
        {
            return FileSystemError.ReadOnly;
        }

        Inode? target = _inodes.TryGet(inode);
        if (target is null)
        {
            return FileSystemError.StaleInode;
        }

        try
        {
            int attempt = 0;
            FileSystemError error;
            do
            {
                using var locks = new InodeLocks(target);
                error = target.IsFreed ? FileSystemError.StaleInode : Apply(target, change);
                attributes = AttributesOf(target);
            }
            while (ShouldRetry(error, ref attempt));
            return error;
        }
        finally
        {
            target.Unpin();
        }
    }

    /// <inheritdoc/>
    public FileSystemError GetExtendedAttribute(ulong inode, ReadOnlySpan<byte> name, Span<byte> value, out int byteCount)
    {
        byteCount = 0;
        Inode? target = _inodes.TryGet(inode);
        if (target is null)
        {
            return FileSystemError.StaleInode;
        }

        target.Lock.EnterShared();
        try
        {
            return target.IsFreed ? FileSystemError.StaleInode : _attributes.Get(target, name, value, out byteCount);
        }
        finally
        {
            target.Lock.ExitShared();
            target.Unpin();
        }
    }

    /// <inheritdoc/>
    public FileSystemError SetExtendedAttribute(
        ulong inode, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, SetAttributeMode mode) =>
        ChangeExtendedAttribute(inode, name, value, mode, isRemoval: false);

    /// <inheritdoc/>
    public FileSystemError RemoveExtendedAttribute(ulong inode, ReadOnlySpan<byte> name) =>
        ChangeExtendedAttribute(inode, name, default, SetAttributeMode.Replace, isRemoval: true);

    /// <inheritdoc/>
    public FileSystemError ListExtendedAttributes(ulong inode, Span<byte> names, out int byteCount)
    {
        byteCount = 0;
        Inode? target = _inodes.TryGet(inode);
        if (target is null)
        {
            return FileSystemError.StaleInode;
        }

        target.Lock.EnterShared();
        try
        {
            return target.IsFreed ? FileSystemError.StaleInode : _attributes.List(target, names, out byteCount);
        }
        finally
        {
            target.Lock.ExitShared();
            target.Unpin();
        }
    }

    private FileSystemError ChangeExtendedAttribute(
        ulong inode, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, SetAttributeMode mode, bool isRemoval)
    {
        if (_isReadOnly)
        {
            return FileSystemError.ReadOnly;
        }

        Inode? target = _inodes.TryGet(inode);
        if (target is null)
        {
            return FileSystemError.StaleInode;
        }

        try
        {
            int attempt = 0;
            FileSystemError error;
            do
            {
                error = ChangeExtendedAttributeOnce(target, name, value, mode, isRemoval);
            }
            while (ShouldRetry(error, ref attempt));
            return error;
        }
        finally
        {
            target.Unpin();
        }
    }

    private FileSystemError ChangeExtendedAttributeOnce(
        Inode target, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, SetAttributeMode mode, bool isRemoval)
    {
        using var locks = new InodeLocks(target);
        if (target.IsFreed)
        {
            return FileSystemError.StaleInode;
        }

        using TransactionHandle handle = _log.Begin(AttributeCredits);
        FileSystemError error = isRemoval
            ? _attributes.Remove(handle, target, name)
            : _attributes.Set(handle, target, name, value, mode);
        if (error == FileSystemError.None)
        {
            target.ChangeTime = UnixTime.Now;
        }

        _inodes.Save(handle, target, changesData: false);
        handle.Complete();
        return error;
    }

    private FileSystemError Apply(Inode inode, in AttributeChange change)
    {
        if ((change.Fields & AttributeFields.Size) != 0)
        {
            FileSystemError error = inode.IsDirectory ? FileSystemError.IsDirectory
                : !inode.IsRegular || change.Size < 0 ? FileSystemError.InvalidArgument
                : _content.Resize(inode, change.Size);
            if (error != FileSystemError.None)
            {
                return error;
            }
        }

        using TransactionHandle handle = _log.Begin(AttributeCredits);
        FileSystemError result = TakesCapability(change.Fields) && _attributes.HasCapability(inode)
            ? _attributes.RemoveCapability(handle, inode)
            : FileSystemError.None;
        uint mode = inode.Mode;
        if (result == FileSystemError.None && (change.Fields & AttributeFields.Mode) != 0)
        {
            mode = inode.Mode & UnixMode.TypeMask | change.Mode & UnixMode.PermissionMask;
            if (!inode.IsSymbolicLink)
            {
                result = _attributes.ChangeMode(handle, inode, mode);
            }
        }

        if (result == FileSystemError.None)
        {
            SetFields(inode, change, mode);
        }

        _inodes.Save(handle, inode, changesData: false);
        handle.Complete();
        return result;
    }

    /// <summary>Whoever may change the contents or the owner of a program does not thereby pass its capabilities on.</summary>
    private static bool TakesCapability(AttributeFields fields) =>
        (fields & (AttributeFields.KillPrivileges | AttributeFields.Size | AttributeFields.UserId | AttributeFields.GroupId)) != 0;

    private static void SetFields(Inode inode, in AttributeChange change, uint mode)
    {
        if ((change.Fields & AttributeFields.KillPrivileges) != 0 && !inode.IsDirectory)
        {
            mode &= ~UnixMode.SetUserId;
            if ((mode & UnixMode.GroupExecute) != 0)
            {
                mode &= ~UnixMode.SetGroupId;
            }
        }

        lock (inode.Map)
        {
            inode.Mode = mode;
            inode.UserId = (change.Fields & AttributeFields.UserId) != 0 ? change.UserId : inode.UserId;
            inode.GroupId = (change.Fields & AttributeFields.GroupId) != 0 ? change.GroupId : inode.GroupId;
            inode.AccessTime = (change.Fields & AttributeFields.AccessTime) != 0 ? change.AccessTime : inode.AccessTime;
            inode.ModifyTime = (change.Fields & AttributeFields.ModifyTime) != 0 ? change.ModifyTime : inode.ModifyTime;
            inode.ChangeTime = (change.Fields & AttributeFields.ChangeTime) != 0 ? change.ChangeTime : UnixTime.Now;
        }
    }
}
