using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Concurrency;
using VDiskCrypt.Ext4.Inodes;
using VDiskCrypt.Ext4.OnDisk;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4;

/// <content>Renaming.</content>
public sealed partial class Ext4FileSystem
{
    /// <summary>The deepest directory that a check for cycles walks up from; a loop on a damaged disk ends there.</summary>
    private const int DepthLimit = 100_000;

    /// <summary>Held while an entry moves between directories: who is above whom does not change meanwhile.</summary>
    private readonly Lock _moveLock = new();

    /// <inheritdoc/>
    public FileSystemError Rename(
        ulong directory, ReadOnlySpan<byte> name, ulong newDirectory, ReadOnlySpan<byte> newName, RenameFlags flags)
    {
        const RenameFlags Known = RenameFlags.NoReplace | RenameFlags.Exchange | RenameFlags.Whiteout;
        bool isExchange = (flags & RenameFlags.Exchange) != 0;
        if ((flags & ~Known) != 0 || isExchange && flags != RenameFlags.Exchange)
        {
            return FileSystemError.InvalidArgument;
        }

        FileSystemError error = CheckNewName(newName);
        if (error == FileSystemError.None)
        {
            error = CheckNewName(name);
        }

        if (error == FileSystemError.AlreadyExists)
        {
            return FileSystemError.Busy;
        }

        if (error != FileSystemError.None)
        {
            return error;
        }

        Inode? from = _inodes.TryGet(directory);
        Inode? to = _inodes.TryGet(newDirectory);
        try
        {
            if (from is null || to is null)
            {
                return FileSystemError.StaleInode;
            }

            int attempt = 0;
            do
            {
                if (from == to)
                {
                    error = RenameOnce(from, name, to, newName, flags);
                }
                else
                {
                    lock (_moveLock)
                    {
                        error = RenameOnce(from, name, to, newName, flags);
                    }
                }
            }
            while (ShouldRetry(error, ref attempt));
            return error;
        }
        finally
        {
            from?.Unpin();
            to?.Unpin();
        }
    }

    private FileSystemError RenameOnce(
        Inode from, ReadOnlySpan<byte> name, Inode to, ReadOnlySpan<byte> newName, RenameFlags flags)
    {
        while (true)
        {
            FileSystemError error = FindLocked(from, name, out uint sourceNumber);
            if (error != FileSystemError.None)
            {
                return error;
            }

            error = FindLocked(to, newName, out uint targetNumber);
            if (error is not (FileSystemError.None or FileSystemError.NotFound))
            {
                return error;
            }

            Inode source = GetNamed(from, sourceNumber);
            Inode? target = null;
            bool isUnused = false;
            try
            {
                target = targetNumber == 0 ? null : GetNamed(to, targetNumber);
                using var locks = new InodeLocks(from, to, source, target);
                if (!_directories.TryFind(from, name, out uint currentSource, out _)
                    || currentSource != sourceNumber
                    || (_directories.TryFind(to, newName, out uint currentTarget, out _) ? currentTarget : 0) != targetNumber)
                {
                    if (from.IsFreed || to.IsFreed)
                    {
                        return FileSystemError.StaleInode;
                    }

                    continue;
                }

                error = CheckRename(from, source, to, target, flags);
                if (error != FileSystemError.None || source == target)
                {
                    return error;
                }

                error = (flags & RenameFlags.Exchange) != 0
                    ? Exchange(from, name, source, to, newName, target!)
                    : Move(from, name, source, to, newName, target, (flags & RenameFlags.Whiteout) != 0);
                isUnused = error == FileSystemError.None && target is not null && target.LinkCount == 0
                    && !_references.Contains(targetNumber);
            }
            finally
            {
                source.Unpin();
                target?.Unpin();
            }

            if (isUnused)
            {
                DeleteIfUnused(targetNumber, ignoreReferences: false);
            }

            return error;
        }
    }

    private FileSystemError CheckRename(Inode from, Inode source, Inode to, Inode? target, RenameFlags flags)
    {
        FileSystemError error = CheckLiveDirectory(to);
        if (error != FileSystemError.None)
        {
            return error;
        }

        bool isExchange = (flags & RenameFlags.Exchange) != 0;
        if (target is null && isExchange)
        {
            return FileSystemError.NotFound;
        }

        if (target is not null && (flags & RenameFlags.NoReplace) != 0)
        {
            return FileSystemError.AlreadyExists;
        }

        if (source == target)
        {
            return FileSystemError.None;
        }

        if (from != to && (source.IsDirectory && IsInside(to, source)
            || isExchange && target!.IsDirectory && IsInside(from, target)))
        {
            return FileSystemError.InvalidArgument;
        }

        if (target is not null && !isExchange)
        {
            if (source.IsDirectory != target.IsDirectory)
            {
                return source.IsDirectory ? FileSystemError.NotDirectory : FileSystemError.IsDirectory;
            }

            if (target.IsDirectory && !_directories.IsEmpty(target))
            {
                return FileSystemError.NotEmpty;
            }
        }

        bool bringsDirectory = from != to && source.IsDirectory && (target is null || !target.IsDirectory);
        bool takesDirectory = from != to && isExchange && target!.IsDirectory && !source.IsDirectory;
        return bringsDirectory && !CanTakeLink(to) || takesDirectory && !CanTakeLink(from)
            ? FileSystemError.TooManyLinks
            : FileSystemError.None;
    }

    /// <summary>Whether a directory is another one or lies below it; the lock of moves is held.</summary>
    private bool IsInside(Inode directory, Inode ancestor)
    {
        uint number = directory.Number;
        for (int depth = 0; depth < DepthLimit; depth++)
        {
            if (number == ancestor.Number)
            {
                return true;
            }

            if (number == RootInodeNumber)
            {
                return false;
            }

            Inode current = GetNamed(directory, number);
            try
            {
                number = _directories.ReadParent(current);
            }
            finally
            {
                current.Unpin();
            }
        }

        throw VDiskException.Damaged(
            $"ext4 directory {directory.Number}", 0, "its parents form a loop", "check the filesystem with e2fsck");
    }

    // Order: 1. the new name (which alone can fail for lack of space); 2. the old name; 3. "..", link counts, times.
    private FileSystemError Move(
        Inode from, ReadOnlySpan<byte> name, Inode source, Inode to, ReadOnlySpan<byte> newName, Inode? target,
        bool leavesWhiteout)
    {
        using TransactionHandle handle = _log.Begin(NameCredits * 2);
        Inode? whiteout = null;
        if (leavesWhiteout)
        {
            var node = new NewInode { Mode = UnixMode.CharacterDevice, UserId = source.UserId, GroupId = source.GroupId };
            FileSystemError whiteoutError = AllocateInode(handle, from, node, default, out whiteout);
            if (whiteout is null)
            {
                handle.Complete();
                return whiteoutError;
            }
        }

        try
        {
            byte type = DirectoryEntryOnDisk.TypeFromMode(source.Mode);
            if (target is not null)
            {
                _directories.Replace(handle, to, newName, source.Number, type);
            }
            else
            {
                FileSystemError error = _directories.Add(handle, to, newName, source.Number, type);
                if (error != FileSystemError.None)
                {
                    if (whiteout is not null)
                    {
                        DiscardNew(handle, whiteout);
                    }

                    _inodes.Save(handle, to, changesData: true);
                    handle.Complete();
                    return error;
                }
            }

            if (whiteout is not null)
            {
                _directories.Replace(handle, from, name, whiteout.Number, DirectoryEntryOnDisk.TypeCharacterDevice);
            }
            else
            {
                _directories.Remove(handle, from, name);
            }
        }
        finally
        {
            whiteout?.Unpin();
        }

        if (source.IsDirectory && from != to)
        {
            _directories.WriteParent(handle, source, to.Number);
        }

        if (source.IsDirectory)
        {
            RemoveSubdirectory(from);
            if (target is null)
            {
                AddSubdirectory(to);
            }
        }

        source.ChangeTime = from.ModifyTime = from.ChangeTime = to.ModifyTime = to.ChangeTime = UnixTime.Now;
        _inodes.Save(handle, source, changesData: true);
        _inodes.Save(handle, from, changesData: true);
        if (to != from)
        {
            _inodes.Save(handle, to, changesData: true);
        }

        if (target is not null)
        {
            DropLink(handle, target);
        }

        handle.Complete();
        return FileSystemError.None;
    }

    private FileSystemError Exchange(
        Inode from, ReadOnlySpan<byte> name, Inode source, Inode to, ReadOnlySpan<byte> newName, Inode target)
    {
        using TransactionHandle handle = _log.Begin(NameCredits);
        _directories.Replace(handle, to, newName, source.Number, DirectoryEntryOnDisk.TypeFromMode(source.Mode));
        _directories.Replace(handle, from, name, target.Number, DirectoryEntryOnDisk.TypeFromMode(target.Mode));
        if (from != to)
        {
            if (source.IsDirectory)
            {
                _directories.WriteParent(handle, source, to.Number);
            }

            if (target.IsDirectory)
            {
                _directories.WriteParent(handle, target, from.Number);
            }

            if (source.IsDirectory != target.IsDirectory)
            {
                RemoveSubdirectory(source.IsDirectory ? from : to);
                AddSubdirectory(source.IsDirectory ? to : from);
            }
        }

        source.ChangeTime = target.ChangeTime = from.ModifyTime = from.ChangeTime = to.ModifyTime = to.ChangeTime = UnixTime.Now;
        _inodes.Save(handle, source, changesData: true);
        _inodes.Save(handle, target, changesData: true);
        _inodes.Save(handle, from, changesData: true);
        _inodes.Save(handle, to, changesData: true);
        handle.Complete();
        return FileSystemError.None;
    }
}
