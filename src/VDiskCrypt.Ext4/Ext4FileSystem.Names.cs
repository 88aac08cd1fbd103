using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Concurrency;
using VDiskCrypt.Ext4.Inodes;
using VDiskCrypt.Ext4.OnDisk;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4;

/// <content>Finding, making and linking.</content>
public sealed partial class Ext4FileSystem
{
    /// <summary>EXT4_LINK_MAX.</summary>
    internal const uint LinkLimit = 65_000;

    /// <summary>Blocks that one change of a directory, with a new inode, may touch.</summary>
    private const int NameCredits = 64;

    private const int LongestTarget = 4095;

    /// <inheritdoc/>
    public FileSystemError Lookup(ulong directory, ReadOnlySpan<byte> name, out InodeAttributes attributes)
    {
        attributes = default;
        Inode? parent = _inodes.TryGet(directory);
        if (parent is null)
        {
            return FileSystemError.StaleInode;
        }

        parent.Lock.EnterShared();
        try
        {
            FileSystemError error = CheckDirectory(parent);
            if (error != FileSystemError.None)
            {
                return error;
            }

            if (name.Length > DirectoryEntryOnDisk.MaximumNameLength)
            {
                return FileSystemError.NameTooLong;
            }

            if (!_directories.TryFind(parent, name, out uint number, out _))
            {
                return FileSystemError.NotFound;
            }

            Inode inode = GetNamed(parent, number);
            attributes = AttributesOf(inode);
            // Under the directory's lock: whoever unlinks the name sees the reference.
            _references.Add(number);
            inode.Unpin();
            return FileSystemError.None;
        }
        finally
        {
            parent.Lock.ExitShared();
            parent.Unpin();
        }
    }

    /// <inheritdoc/>
    public FileSystemError Create(ulong directory, ReadOnlySpan<byte> name, in NewInode node, out InodeAttributes attributes) =>
        Make(directory, name, node, default, out attributes);

    /// <inheritdoc/>
    public FileSystemError CreateSymbolicLink(
        ulong directory, ReadOnlySpan<byte> name, ReadOnlySpan<byte> target, in NewInode node, out InodeAttributes attributes)
    {
        attributes = default;
        if (target.IsEmpty)
        {
            return FileSystemError.InvalidArgument;
        }

        if (target.Length > Math.Min(LongestTarget, _geometry.BlockByteSize - 1))
        {
            return FileSystemError.NameTooLong;
        }

        return Make(
            directory, name, new NewInode
            {
                Mode = UnixMode.SymbolicLink | 0x1FF,
                UserId = node.UserId,
                GroupId = node.GroupId,
            },
            target, out attributes);
    }

    /// <inheritdoc/>
    public FileSystemError CreateUnnamed(ulong directory, in NewInode node, out InodeAttributes attributes)
    {
        attributes = default;
        if (_isReadOnly)
        {
            return FileSystemError.ReadOnly;
        }

        if (!UnixMode.IsRegular(node.Mode))
        {
            return FileSystemError.InvalidArgument;
        }

        Inode? parent = _inodes.TryGet(directory);
        if (parent is null)
        {
            return FileSystemError.StaleInode;
        }

        try
        {
            using var locks = new InodeLocks(parent);
            FileSystemError error = CheckLiveDirectory(parent);
            if (error != FileSystemError.None)
            {
                return error;
            }

            using TransactionHandle handle = _log.Begin(NameCredits);
            error = AllocateInode(handle, parent, node, default, out Inode? inode);
            if (inode is not null)
            {
                inode.LinkCount = 0;
                _orphans.Add(handle, inode.Number);
                _inodes.Save(handle, inode, changesData: true);
                attributes = AttributesOf(inode);
                _references.Add(inode.Number);
                inode.Unpin();
            }

            handle.Complete();
            return error;
        }
        finally
        {
            parent.Unpin();
        }
    }

    /// <inheritdoc/>
    public FileSystemError Link(ulong inode, ulong directory, ReadOnlySpan<byte> name, out InodeAttributes attributes)
    {
        attributes = default;
        FileSystemError error = CheckNewName(name);
        if (error != FileSystemError.None)
        {
            return error;
        }

        Inode? parent = _inodes.TryGet(directory);
        Inode? target = _inodes.TryGet(inode);
        try
        {
            if (parent is null || target is null)
            {
                return FileSystemError.StaleInode;
            }

            int attempt = 0;
            do
            {
                error = LinkOnce(target, parent, name, out attributes);
            }
            while (ShouldRetry(error, ref attempt));
            return error;
        }
        finally
        {
            parent?.Unpin();
            target?.Unpin();
        }
    }

    /// <inheritdoc/>
    public FileSystemError ReadLink(ulong inode, Span<byte> target, out int byteCount)
    {
        byteCount = 0;
        Inode? link = _inodes.TryGet(inode);
        if (link is null)
        {
            return FileSystemError.StaleInode;
        }

        link.Lock.EnterShared();
        try
        {
            return link.IsSymbolicLink ? _content.ReadTarget(link, target, out byteCount) : FileSystemError.InvalidArgument;
        }
        finally
        {
            link.Lock.ExitShared();
            link.Unpin();
        }
    }

    private FileSystemError Make(
        ulong directory, ReadOnlySpan<byte> name, in NewInode node, ReadOnlySpan<byte> target, out InodeAttributes attributes)
    {
        attributes = default;
        FileSystemError error = CheckNewName(name);
        if (error != FileSystemError.None)
        {
            return error;
        }

        if (DirectoryEntryOnDisk.TypeFromMode(node.Mode) == DirectoryEntryOnDisk.TypeUnknown)
        {
            return FileSystemError.InvalidArgument;
        }

        Inode? parent = _inodes.TryGet(directory);
        if (parent is null)
        {
            return FileSystemError.StaleInode;
        }

        try
        {
            int attempt = 0;
            do
            {
                error = MakeOnce(parent, name, node, target, out attributes);
            }
            while (ShouldRetry(error, ref attempt));
            return error;
        }
        finally
        {
            parent.Unpin();
        }
    }

    private FileSystemError MakeOnce(
        Inode parent, ReadOnlySpan<byte> name, in NewInode node, ReadOnlySpan<byte> target, out InodeAttributes attributes)
    {
        attributes = default;
        using var locks = new InodeLocks(parent);
        FileSystemError error = CheckLiveDirectory(parent);
        if (error != FileSystemError.None)
        {
            return error;
        }

        if (_directories.TryFind(parent, name, out _, out _))
        {
            return FileSystemError.AlreadyExists;
        }

        bool isDirectory = UnixMode.IsDirectory(node.Mode);
        if (isDirectory && !CanTakeLink(parent))
        {
            return FileSystemError.TooManyLinks;
        }

        using TransactionHandle handle = _log.Begin(NameCredits);
        error = AllocateInode(handle, parent, node, target, out Inode? inode);
        if (inode is null)
        {
            handle.Complete();
            return error;
        }

        error = _directories.Add(handle, parent, name, inode.Number, DirectoryEntryOnDisk.TypeFromMode(inode.Mode));
        if (error == FileSystemError.None)
        {
            if (isDirectory)
            {
                AddSubdirectory(parent);
            }

            parent.ModifyTime = parent.ChangeTime = inode.ChangeTime;
            _inodes.Save(handle, parent, changesData: true);
            _inodes.Save(handle, inode, changesData: true);
            attributes = AttributesOf(inode);
            _references.Add(inode.Number);
        }
        else
        {
            _inodes.Save(handle, parent, changesData: true);
            DiscardNew(handle, inode);
        }

        inode.Unpin();
        handle.Complete();
        return error;
    }

    private FileSystemError LinkOnce(Inode target, Inode parent, ReadOnlySpan<byte> name, out InodeAttributes attributes)
    {
        attributes = default;
        using var locks = new InodeLocks(parent, target);
        FileSystemError error = CheckLiveDirectory(parent);
        if (error != FileSystemError.None)
        {
            return error;
        }

        if (target.IsFreed)
        {
            return FileSystemError.StaleInode;
        }

        if (target.IsDirectory)
        {
            return FileSystemError.NotPermitted;
        }

        if (target.LinkCount >= LinkLimit)
        {
            return FileSystemError.TooManyLinks;
        }

        if (_directories.TryFind(parent, name, out _, out _))
        {
            return FileSystemError.AlreadyExists;
        }

        using TransactionHandle handle = _log.Begin(NameCredits);
        error = _directories.Add(handle, parent, name, target.Number, DirectoryEntryOnDisk.TypeFromMode(target.Mode));
        if (error == FileSystemError.None)
        {
            if (target.LinkCount == 0)
            {
                _orphans.Remove(handle, target.Number);
            }

            target.LinkCount++;
            target.ChangeTime = parent.ModifyTime = parent.ChangeTime = UnixTime.Now;
            _inodes.Save(handle, target, changesData: true);
            attributes = AttributesOf(target);
            _references.Add(target.Number);
        }

        _inodes.Save(handle, parent, changesData: true);
        handle.Complete();
        return error;
    }

    /// <summary>A new inode with everything but its name: content, attributes, ACL. Null, with the reason, for none.</summary>
    private FileSystemError AllocateInode(
        TransactionHandle handle, Inode parent, in NewInode node, ReadOnlySpan<byte> target, out Inode? inode)
    {
        inode = null;
        bool isDirectory = UnixMode.IsDirectory(node.Mode);
        uint number = _inodeNumbers.Allocate(
            handle, parent.Number, isDirectory,
            parent.Number == RootInodeNumber || (parent.Flags & InodeFlags.TopDirectory) != 0);
        if (number == 0)
        {
            return FileSystemError.NoSpace;
        }

        Inode created = _inodes.Install(number, (uint)Random.Shared.NextInt64());
        FillNew(created, parent, node);
        _inodes.Initialize(handle, created);
        FileSystemError error = FileSystemError.None;
        if (isDirectory)
        {
            created.LinkCount = 2;
            error = _directories.Initialize(handle, created, parent.Number);
        }
        else if (created.IsSymbolicLink)
        {
            error = _content.StoreTarget(handle, created, target);
        }

        if (error == FileSystemError.None && !created.IsSymbolicLink)
        {
            error = _attributes.Inherit(handle, created, parent, node.Umask);
        }

        if (error != FileSystemError.None)
        {
            DiscardNew(handle, created);
            created.Unpin();
            return error;
        }

        _inodes.Save(handle, created, changesData: true);
        inode = created;
        return FileSystemError.None;
    }

    private void FillNew(Inode inode, Inode parent, in NewInode node)
    {
        bool isDirectory = UnixMode.IsDirectory(node.Mode);
        bool parentSetsGroup = (parent.Mode & UnixMode.SetGroupId) != 0;
        inode.Mode = node.Mode & (UnixMode.TypeMask | UnixMode.PermissionMask);
        if (parentSetsGroup && isDirectory)
        {
            inode.Mode |= UnixMode.SetGroupId;
        }

        inode.UserId = node.UserId;
        inode.GroupId = parentSetsGroup ? parent.GroupId : node.GroupId;
        inode.LinkCount = 1;
        inode.BirthTime = inode.AccessTime = inode.ModifyTime = inode.ChangeTime = UnixTime.Now;
        const InodeFlags Inherited = InodeFlags.NoDump | InodeFlags.NoAccessTime;
        const InodeFlags InheritedByFiles = Inherited | InodeFlags.Synchronous | InodeFlags.NoTail;
        const InodeFlags InheritedByDirectories = InheritedByFiles | InodeFlags.DirectorySynchronous;
        inode.Flags = parent.Flags & (isDirectory ? InheritedByDirectories : inode.IsRegular ? InheritedByFiles : Inherited);
        if (isDirectory || inode.IsRegular)
        {
            _content.InitializeMap(inode);
        }
        else if (!inode.IsSymbolicLink)
        {
            Files.DeviceNumber.Write(inode.Block, node.DeviceMajor, node.DeviceMinor);
        }
    }

    /// <summary>Takes back an inode that got no name, in the handle that made it.</summary>
    private void DiscardNew(TransactionHandle handle, Inode inode)
    {
        inode.LinkCount = 0;
        inode.Size = inode.IsSymbolicLink ? inode.Size : 0;
        _content.RemoveBlocks(handle, inode, 0);
        _attributes.Release(handle, inode);
        EndInode(handle, inode);
    }

    private Inode GetNamed(Inode parent, uint number) =>
        _inodes.TryGet(number) ?? throw VDiskException.Damaged(
            $"ext4 directory {parent.Number}", 0, $"an entry names inode {number}, which is not in use",
            "check the filesystem with e2fsck");

    private FileSystemError CheckNewName(ReadOnlySpan<byte> name)
    {
        if (_isReadOnly)
        {
            return FileSystemError.ReadOnly;
        }

        if (name.IsEmpty || name.IndexOfAny((byte)0, (byte)'/') >= 0)
        {
            return FileSystemError.InvalidArgument;
        }

        if (name.Length > DirectoryEntryOnDisk.MaximumNameLength)
        {
            return FileSystemError.NameTooLong;
        }

        return IsDot(name) || IsDotDot(name) ? FileSystemError.AlreadyExists : FileSystemError.None;
    }

    private static bool IsDot(ReadOnlySpan<byte> name) => name.Length == 1 && name[0] == '.';

    private static bool IsDotDot(ReadOnlySpan<byte> name) => name.Length == 2 && name[0] == '.' && name[1] == '.';

    private static FileSystemError CheckDirectory(Inode inode) =>
        inode.IsFreed ? FileSystemError.StaleInode : inode.IsDirectory ? FileSystemError.None : FileSystemError.NotDirectory;

    /// <summary>A directory that was removed takes no new names.</summary>
    private static FileSystemError CheckLiveDirectory(Inode inode)
    {
        FileSystemError error = CheckDirectory(inode);
        return error == FileSystemError.None && inode.LinkCount == 0 ? FileSystemError.NotFound : error;
    }

    private bool CanTakeLink(Inode directory) =>
        directory.LinkCount < LinkLimit || _geometry.Has(ReadOnlyCompatibleFeatures.DirectoryLinkCount);

    /// <summary>With dir_nlink a directory that has more subdirectories than can be counted has a link count of 1.</summary>
    private static void AddSubdirectory(Inode parent)
    {
        if (parent.LinkCount != 1)
        {
            parent.LinkCount = parent.LinkCount >= LinkLimit ? 1 : parent.LinkCount + 1;
        }
    }

    private static void RemoveSubdirectory(Inode parent)
    {
        if (parent.LinkCount > 2)
        {
            parent.LinkCount--;
        }
    }
}
