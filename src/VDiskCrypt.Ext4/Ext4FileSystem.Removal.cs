using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Concurrency;
using VDiskCrypt.Ext4.Inodes;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4;

/// <content>Removing names, and inodes after their last name.</content>
public sealed partial class Ext4FileSystem
{
    /// <inheritdoc/>
    public FileSystemError Unlink(ulong directory, ReadOnlySpan<byte> name) => Remove(directory, name, isDirectory: false);

    /// <inheritdoc/>
    public FileSystemError RemoveDirectory(ulong directory, ReadOnlySpan<byte> name)
    {
        if (IsDot(name))
        {
            return FileSystemError.InvalidArgument;
        }

        return IsDotDot(name) ? FileSystemError.NotEmpty : Remove(directory, name, isDirectory: true);
    }

    private FileSystemError Remove(ulong directory, ReadOnlySpan<byte> name, bool isDirectory)
    {
        if (_isReadOnly)
        {
            return FileSystemError.ReadOnly;
        }

        if (name.Length > OnDisk.DirectoryEntryOnDisk.MaximumNameLength)
        {
            return FileSystemError.NameTooLong;
        }

        if (IsDot(name) || IsDotDot(name))
        {
            return FileSystemError.IsDirectory;
        }

        Inode? parent = _inodes.TryGet(directory);
        if (parent is null)
        {
            return FileSystemError.StaleInode;
        }

        try
        {
            while (true)
            {
                FileSystemError error = FindLocked(parent, name, out uint number);
                if (error != FileSystemError.None)
                {
                    return error;
                }

                Inode victim = GetNamed(parent, number);
                bool isUnused = false;
                try
                {
                    using var locks = new InodeLocks(parent, victim);
                    error = CheckDirectory(parent);
                    if (error != FileSystemError.None)
                    {
                        return error;
                    }

                    if (!_directories.TryFind(parent, name, out uint current, out _) || current != number)
                    {
                        continue;
                    }

                    error = RemoveLocked(parent, name, victim, isDirectory);
                    isUnused = error == FileSystemError.None && victim.LinkCount == 0 && !_references.Contains(number);
                }
                finally
                {
                    victim.Unpin();
                }

                if (isUnused)
                {
                    DeleteIfUnused(number, ignoreReferences: false);
                }

                return error;
            }
        }
        finally
        {
            parent.Unpin();
        }
    }

    /// <summary>Finds a name under the directory's shared lock.</summary>
    private FileSystemError FindLocked(Inode parent, ReadOnlySpan<byte> name, out uint number)
    {
        number = 0;
        parent.Lock.EnterShared();
        try
        {
            FileSystemError error = CheckDirectory(parent);
            return error != FileSystemError.None ? error
                : _directories.TryFind(parent, name, out number, out _) ? FileSystemError.None : FileSystemError.NotFound;
        }
        finally
        {
            parent.Lock.ExitShared();
        }
    }

    private FileSystemError RemoveLocked(Inode parent, ReadOnlySpan<byte> name, Inode victim, bool isDirectory)
    {
        if (victim.IsDirectory != isDirectory)
        {
            return isDirectory ? FileSystemError.NotDirectory : FileSystemError.IsDirectory;
        }

        if (isDirectory && !_directories.IsEmpty(victim))
        {
            return FileSystemError.NotEmpty;
        }

        using TransactionHandle handle = _log.Begin(NameCredits);
        _directories.Remove(handle, parent, name);
        parent.ModifyTime = parent.ChangeTime = UnixTime.Now;
        if (isDirectory)
        {
            RemoveSubdirectory(parent);
        }

        _inodes.Save(handle, parent, changesData: true);
        DropLink(handle, victim);
        handle.Complete();
        return FileSystemError.None;
    }

    /// <summary>One name less; without a name the inode is an orphan until its last reference is dropped.</summary>
    private void DropLink(TransactionHandle handle, Inode inode)
    {
        if (inode.IsDirectory)
        {
            inode.LinkCount = 0;
        }
        else if (inode.LinkCount > 0)
        {
            inode.LinkCount--;
        }

        inode.ChangeTime = UnixTime.Now;
        if (inode.LinkCount == 0)
        {
            _orphans.Add(handle, inode.Number);
        }

        _inodes.Save(handle, inode, changesData: true);
    }

    private void DeleteIfUnused(uint number, bool ignoreReferences)
    {
        Inode? inode = _inodes.TryGet(number);
        if (inode is null)
        {
            return;
        }

        try
        {
            using var locks = new InodeLocks(inode);
            if (!inode.IsFreed && inode.LinkCount == 0 && (ignoreReferences || !_references.Contains(number)))
            {
                Delete(inode);
            }
        }
        finally
        {
            inode.Unpin();
        }
    }

    /// <summary>Frees an orphan: blocks, attributes, inode; its exclusive lock is held, or nobody else can reach it.</summary>
    private void Delete(Inode inode)
    {
        using TransactionHandle handle = _log.Begin(NameCredits);
        // The length of a target tells where it lies.
        inode.Size = inode.IsSymbolicLink ? inode.Size : 0;
        _content.RemoveBlocks(handle, inode, 0);
        _attributes.Release(handle, inode);
        _orphans.Remove(handle, inode.Number);
        EndInode(handle, inode);
        handle.Complete();
    }

    private void EndInode(TransactionHandle handle, Inode inode)
    {
        _inodes.Save(handle, inode, changesData: true);
        _inodes.SetDeletionTime(handle, inode.Number, (uint)UnixTime.Now.Seconds);
        _inodes.Remove(inode);
        _inodeNumbers.Free(handle, inode.Number, inode.IsDirectory);
    }
}
