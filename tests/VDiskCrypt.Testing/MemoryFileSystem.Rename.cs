using VDiskCrypt.Core;

namespace VDiskCrypt.Testing;

/// <summary>Renaming, in the three ways of renameat2(2).</summary>
public sealed partial class MemoryFileSystem
{
    public FileSystemError Rename(
        ulong directory, ReadOnlySpan<byte> name, ulong newDirectory, ReadOnlySpan<byte> newName, RenameFlags flags)
    {
        _lock.EnterWriteLock();
        try
        {
            if (flags.HasFlag(RenameFlags.Exchange) && flags != RenameFlags.Exchange)
            {
                return FileSystemError.InvalidArgument;
            }

            FileSystemError error = FindEntryForChange(directory, name, out MemoryInode parent, out MemoryInode node);
            if (error != FileSystemError.None)
            {
                return error;
            }

            error = FindDirectoryForChange(newDirectory, out MemoryInode newParent);
            if (error != FileSystemError.None)
            {
                return error;
            }

            if (newName.Length > MaximumNameByteCount)
            {
                return FileSystemError.NameTooLong;
            }

            MemoryInode? target = newParent.Directory!.TryFind(newName, out ulong inode) ? _inodes[inode] : null;
            return flags == RenameFlags.Exchange
                ? Exchange(parent, name, node, newParent, newName, target)
                : Move(parent, name, node, newParent, newName, target, flags);
        }
        finally
        {
            _lock.ExitWriteLock();
        }
    }

    private FileSystemError Exchange(
        MemoryInode parent, ReadOnlySpan<byte> name, MemoryInode node,
        MemoryInode newParent, ReadOnlySpan<byte> newName, MemoryInode? target)
    {
        if (target is null)
        {
            return FileSystemError.NotFound;
        }

        if (IsInside(newParent, node) || IsInside(parent, target))
        {
            return FileSystemError.InvalidArgument;
        }

        parent.Directory!.Replace(name, target.Inode);
        newParent.Directory!.Replace(newName, node.Inode);
        Reparent(node, parent, newParent);
        Reparent(target, newParent, parent);
        TouchAll(parent, newParent, node);
        Touch(target, modified: false);
        return FileSystemError.None;
    }

    private FileSystemError Move(
        MemoryInode parent, ReadOnlySpan<byte> name, MemoryInode node,
        MemoryInode newParent, ReadOnlySpan<byte> newName, MemoryInode? target, RenameFlags flags)
    {
        if (target is not null && flags.HasFlag(RenameFlags.NoReplace))
        {
            return FileSystemError.AlreadyExists;
        }

        if (ReferenceEquals(node, target))
        {
            return FileSystemError.None;
        }

        if (IsInside(newParent, node))
        {
            return FileSystemError.InvalidArgument;
        }

        if (target is not null)
        {
            FileSystemError error = CheckReplaceable(node, target);
            if (error != FileSystemError.None)
            {
                return error;
            }

            newParent.Directory!.Remove(newName);
            newParent.LinkCount -= target.Directory is null ? 0u : 1u;
            Unlink(target);
        }

        parent.Directory!.Remove(name);
        newParent.Directory!.Add(newName, node.Inode);
        Reparent(node, parent, newParent);
        TouchAll(parent, newParent, node);
        if (flags.HasFlag(RenameFlags.Whiteout))
        {
            var whiteout = new NewInode { Mode = UnixMode.CharacterDevice };
            FileSystemError error = Add(parent, whiteout, [], out MemoryInode added);
            if (error != FileSystemError.None)
            {
                return error;
            }

            added.ReferenceCount = 0;
            parent.Directory.Add(name, added.Inode);
        }

        return FileSystemError.None;
    }

    private static FileSystemError CheckReplaceable(MemoryInode node, MemoryInode target)
    {
        if (node.Directory is null)
        {
            return target.Directory is null ? FileSystemError.None : FileSystemError.IsDirectory;
        }

        return target.Directory is null ? FileSystemError.NotDirectory
            : target.Directory.Count > 0 ? FileSystemError.NotEmpty
            : FileSystemError.None;
    }

    /// <summary>Whether a directory is another or lies below it.</summary>
    private bool IsInside(MemoryInode directory, MemoryInode ancestor)
    {
        for (MemoryInode node = directory; ; node = _inodes[node.Directory!.Parent])
        {
            if (ReferenceEquals(node, ancestor))
            {
                return true;
            }

            if (node.Inode == RootInode)
            {
                return false;
            }
        }
    }

    private static void Reparent(MemoryInode node, MemoryInode from, MemoryInode to)
    {
        if (node.Directory is not null)
        {
            node.Directory.Parent = to.Inode;
            from.LinkCount--;
            to.LinkCount++;
        }
    }

    private static void TouchAll(MemoryInode parent, MemoryInode newParent, MemoryInode node)
    {
        Touch(parent, modified: true);
        Touch(newParent, modified: true);
        Touch(node, modified: false);
    }
}
