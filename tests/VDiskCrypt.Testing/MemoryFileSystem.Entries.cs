using VDiskCrypt.Core;

namespace VDiskCrypt.Testing;

/// <summary>Names: looking up, creating, linking, removing.</summary>
public sealed partial class MemoryFileSystem
{
    public FileSystemError Lookup(ulong directory, ReadOnlySpan<byte> name, out InodeAttributes attributes)
    {
        _lock.EnterWriteLock();
        try
        {
            attributes = default;
            if (name.Length > MaximumNameByteCount)
            {
                return FileSystemError.NameTooLong;
            }

            if (!_inodes.TryGetValue(directory, out MemoryInode? parent))
            {
                return FileSystemError.StaleInode;
            }

            if (parent.Directory is null)
            {
                return FileSystemError.NotDirectory;
            }

            if (!parent.Directory.TryFind(name, out ulong inode))
            {
                return FileSystemError.NotFound;
            }

            MemoryInode node = _inodes[inode];
            node.ReferenceCount++;
            attributes = node.ToAttributes();
            return FileSystemError.None;
        }
        finally
        {
            _lock.ExitWriteLock();
        }
    }

    public FileSystemError Create(ulong directory, ReadOnlySpan<byte> name, in NewInode node, out InodeAttributes attributes) =>
        Create(directory, name, [], node, out attributes);

    public FileSystemError CreateSymbolicLink(
        ulong directory, ReadOnlySpan<byte> name, ReadOnlySpan<byte> target, in NewInode node, out InodeAttributes attributes) =>
        target.Length is 0 or > BlockByteCount - 1
            ? NameTooLong(out attributes)
            : Create(directory, name, target, node, out attributes);

    public FileSystemError CreateUnnamed(ulong directory, in NewInode node, out InodeAttributes attributes)
    {
        _lock.EnterWriteLock();
        try
        {
            attributes = default;
            FileSystemError error = FindDirectoryForChange(directory, out MemoryInode parent);
            error = error == FileSystemError.None ? Add(parent, node, [], out MemoryInode added) : error.Ignore(out added);
            if (error == FileSystemError.None)
            {
                added.LinkCount = 0;
                attributes = added.ToAttributes();
            }

            return error;
        }
        finally
        {
            _lock.ExitWriteLock();
        }
    }

    public FileSystemError Link(ulong inode, ulong directory, ReadOnlySpan<byte> name, out InodeAttributes attributes)
    {
        _lock.EnterWriteLock();
        try
        {
            attributes = default;
            FileSystemError error = FindDirectoryForChange(directory, out MemoryInode parent);
            error = error == FileSystemError.None ? CheckNewName(parent, name) : error;
            error = error == FileSystemError.None ? FindForChange(inode, out MemoryInode node) : error.Ignore(out node);
            if (error != FileSystemError.None)
            {
                return error;
            }

            if (node.Directory is not null)
            {
                return FileSystemError.NotPermitted;
            }

            if (node.LinkCount >= MaximumLinkCount)
            {
                return FileSystemError.TooManyLinks;
            }

            node.LinkCount++;
            node.ReferenceCount++;
            Touch(node, modified: false);
            parent.Directory!.Add(name, inode);
            Touch(parent, modified: true);
            attributes = node.ToAttributes();
            return FileSystemError.None;
        }
        finally
        {
            _lock.ExitWriteLock();
        }
    }

    public FileSystemError Unlink(ulong directory, ReadOnlySpan<byte> name)
    {
        _lock.EnterWriteLock();
        try
        {
            FileSystemError error = FindEntryForChange(directory, name, out MemoryInode parent, out MemoryInode node);
            if (error == FileSystemError.None && node.Directory is not null)
            {
                error = FileSystemError.IsDirectory;
            }

            if (error == FileSystemError.None)
            {
                parent.Directory!.Remove(name);
                Touch(parent, modified: true);
                Unlink(node);
            }

            return error;
        }
        finally
        {
            _lock.ExitWriteLock();
        }
    }

    public FileSystemError RemoveDirectory(ulong directory, ReadOnlySpan<byte> name)
    {
        _lock.EnterWriteLock();
        try
        {
            FileSystemError error = FindEntryForChange(directory, name, out MemoryInode parent, out MemoryInode node);
            if (error != FileSystemError.None)
            {
                return error;
            }

            if (node.Directory is null)
            {
                return FileSystemError.NotDirectory;
            }

            if (node.Directory.Count > 0)
            {
                return FileSystemError.NotEmpty;
            }

            parent.Directory!.Remove(name);
            parent.LinkCount--;
            Touch(parent, modified: true);
            Unlink(node);
            return FileSystemError.None;
        }
        finally
        {
            _lock.ExitWriteLock();
        }
    }

    private static FileSystemError NameTooLong(out InodeAttributes attributes)
    {
        attributes = default;
        return FileSystemError.NameTooLong;
    }

    private FileSystemError Create(
        ulong directory, ReadOnlySpan<byte> name, ReadOnlySpan<byte> target, in NewInode node, out InodeAttributes attributes)
    {
        _lock.EnterWriteLock();
        try
        {
            attributes = default;
            FileSystemError error = FindDirectoryForChange(directory, out MemoryInode parent);
            error = error == FileSystemError.None ? CheckNewName(parent, name) : error;
            error = error == FileSystemError.None ? Add(parent, node, target, out MemoryInode added) : error.Ignore(out added);
            if (error == FileSystemError.None)
            {
                parent.Directory!.Add(name, added.Inode);
                Touch(parent, modified: true);
                if (added.Directory is not null)
                {
                    added.LinkCount = 2;
                    added.Directory.Parent = directory;
                    parent.LinkCount++;
                }

                attributes = added.ToAttributes();
            }

            return error;
        }
        finally
        {
            _lock.ExitWriteLock();
        }
    }

    private FileSystemError Add(MemoryInode parent, in NewInode node, ReadOnlySpan<byte> target, out MemoryInode added)
    {
        added = null!;
        if (_inodes.Count >= _inodeLimit)
        {
            return FileSystemError.NoSpace;
        }

        uint mode = node.Mode;
        uint groupId = node.GroupId;
        if ((parent.Mode & UnixMode.SetGroupId) != 0)
        {
            groupId = parent.GroupId;
            mode |= UnixMode.IsDirectory(mode) ? UnixMode.SetGroupId : 0;
        }

        added = new MemoryInode(++_lastInode, mode, UnixTime.Now)
        {
            UserId = node.UserId,
            GroupId = groupId,
            DeviceMajor = node.DeviceMajor,
            DeviceMinor = node.DeviceMinor,
            LinkTarget = target.ToArray(),
            ReferenceCount = 1,
        };
        InheritAccessList(parent, added, node.Umask);
        _inodes.Add(added.Inode, added);
        return FileSystemError.None;
    }

    private void Unlink(MemoryInode node)
    {
        node.LinkCount -= node.Directory is null ? 1u : 2u;
        Touch(node, modified: false);
        RemoveIfUnused(node);
    }

    private static FileSystemError CheckNewName(MemoryInode parent, ReadOnlySpan<byte> name) =>
        name.Length > MaximumNameByteCount ? FileSystemError.NameTooLong
        : parent.Directory!.TryFind(name, out _) ? FileSystemError.AlreadyExists
        : FileSystemError.None;

    private FileSystemError FindDirectoryForChange(ulong directory, out MemoryInode parent)
    {
        FileSystemError error = FindForChange(directory, out parent);
        return error != FileSystemError.None ? error
            : parent.Directory is null ? FileSystemError.NotDirectory
            : parent.LinkCount == 0 ? FileSystemError.NotFound
            : FileSystemError.None;
    }

    private FileSystemError FindEntryForChange(
        ulong directory, ReadOnlySpan<byte> name, out MemoryInode parent, out MemoryInode node)
    {
        node = null!;
        FileSystemError error = FindDirectoryForChange(directory, out parent);
        if (error == FileSystemError.None)
        {
            if (!parent.Directory!.TryFind(name, out ulong inode))
            {
                return FileSystemError.NotFound;
            }

            node = _inodes[inode];
        }

        return error;
    }
}

/// <summary>Lets a chain of checks go on where an earlier one has failed.</summary>
file static class ErrorChain
{
    public static FileSystemError Ignore(this FileSystemError error, out MemoryInode node)
    {
        node = null!;
        return error;
    }
}
