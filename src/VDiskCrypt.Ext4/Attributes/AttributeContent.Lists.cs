using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Inodes;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4.Attributes;

/// <content>Access control lists.</content>
internal sealed partial class AttributeContent
{
    /// <summary>
    /// Gives a new inode what its directory hands down. A default list decides in the umask's place; without one the umask
    /// applies (POSIX 1003.1e draft 17, 23.1.2).
    /// </summary>
    public FileSystemError Inherit(TransactionHandle handle, Inode inode, Inode parent, uint umask)
    {
        AccessControlList? inherited = HasDefaultList(parent) ? LoadList(parent, Load(parent), AttributeName.DefaultList) : null;
        if (inherited is null)
        {
            inode.Mode &= ~(umask & UnixMode.PermissionMask);
            return FileSystemError.None;
        }

        AccessControlList access = inherited.Copy();
        access.Restrict(inode.Mode);
        inode.Mode = access.ApplyTo(inode.Mode);
        AttributeSet set = Load(inode);
        bool fits = access.IsMode || set.TryPut(AttributeName.AccessList, AccessControlForm.WriteDisk(access.Entries));
        fits &= !inode.IsDirectory || set.TryPut(AttributeName.DefaultList, AccessControlForm.WriteDisk(inherited.Entries));
        return fits ? Store(handle, inode, set) : FileSystemError.NoSpace;
    }

    /// <summary>Before the mode changes: an access list follows it.</summary>
    public FileSystemError ChangeMode(TransactionHandle handle, Inode inode, uint mode)
    {
        if (Get(inode, AttributeName.AccessList, default, out _) == FileSystemError.NoAttribute)
        {
            return FileSystemError.None;
        }

        AttributeSet set = Load(inode);
        AccessControlList? list = LoadList(inode, set, AttributeName.AccessList);
        if (list is null)
        {
            return FileSystemError.None;
        }

        list.SetMode(mode);
        return set.TryPut(AttributeName.AccessList, AccessControlForm.WriteDisk(list.Entries))
            ? Store(handle, inode, set)
            : FileSystemError.NoSpace;
    }

    /// <summary>Sets a list in the kernel's form. The mode follows an access list, and is all that is kept of a minimal one.</summary>
    private FileSystemError SetList(TransactionHandle handle, Inode inode, in AttributeName name, ReadOnlySpan<byte> value)
    {
        AccessControlEntry[]? entries = AccessControlForm.ReadInterface(value);
        if (entries is null)
        {
            return FileSystemError.InvalidArgument;
        }

        AttributeSet set = Load(inode);
        if (entries.Length == 0)
        {
            return set.Remove(name) ? Store(handle, inode, set) : FileSystemError.None;
        }

        bool isAccess = name.Index == AttributeName.AccessListIndex;
        if (!isAccess && !inode.IsDirectory)
        {
            return FileSystemError.AccessDenied;
        }

        AccessControlList? list = AccessControlList.TryMake(entries);
        if (list is null)
        {
            return FileSystemError.InvalidArgument;
        }

        bool isModeOnly = isAccess && list.IsMode;
        bool isChanged = isModeOnly ? set.Remove(name) : set.TryPut(name, AccessControlForm.WriteDisk(list.Entries));
        if (!isChanged && !isModeOnly)
        {
            return FileSystemError.NoSpace;
        }

        FileSystemError error = Store(handle, inode, set);
        if (error == FileSystemError.None && isAccess)
        {
            lock (inode.Map)
            {
                inode.Mode = list.ApplyTo(inode.Mode);
            }
        }

        return error;
    }

    private bool HasDefaultList(Inode directory) =>
        Get(directory, AttributeName.DefaultList, default, out _) == FileSystemError.None;

    private static AccessControlList? LoadList(Inode inode, AttributeSet set, in AttributeName name)
    {
        AttributeRecord? record = set.Find(name);
        if (record is null)
        {
            return null;
        }

        AccessControlEntry[] entries = AccessControlForm.ReadDisk(record.Value) ?? throw BadList(inode);
        return entries.Length == 0 ? null : AccessControlList.TryMake(entries) ?? throw BadList(inode);
    }
}
