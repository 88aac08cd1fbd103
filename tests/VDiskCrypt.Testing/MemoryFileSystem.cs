using VDiskCrypt.Core;

namespace VDiskCrypt.Testing;

/// <summary>
/// A plain filesystem in memory: the model of what <see cref="IFileSystem"/> promises, for tests of the surfaces and
/// as the reference of model-based tests. One lock, reads shared; files are sparse in blocks of 4096 bytes.
/// </summary>
public sealed partial class MemoryFileSystem : IFileSystem
{
    public const int BlockByteCount = 4096;
    public const int MaximumNameByteCount = 255;
    public const uint MaximumLinkCount = 65_000;
    public const long MaximumFileByteCount = 1L << 44;

    private readonly ReaderWriterLockSlim _lock = new();
    private readonly Dictionary<ulong, MemoryInode> _inodes = [];
    private readonly long _blockLimit;
    private readonly uint _inodeLimit;
    private long _blockCount;
    private ulong _lastInode;

    /// <param name="byteLimit">Data beyond this many bytes do not fit.</param>
    /// <param name="inodeLimit">Inodes beyond this many do not fit.</param>
    /// <param name="rootInode">The root's number.</param>
    /// <param name="isReadOnly">Refuse every change.</param>
    public MemoryFileSystem(
        long byteLimit = 1L << 30, uint inodeLimit = 1 << 20, ulong rootInode = 2, bool isReadOnly = false)
    {
        _blockLimit = byteLimit / BlockByteCount;
        _inodeLimit = inodeLimit;
        RootInode = rootInode;
        IsReadOnly = isReadOnly;
        _lastInode = Math.Max(rootInode, 10);
        var root = new MemoryInode(rootInode, UnixMode.Directory | 0x1FF, UnixTime.Now) { LinkCount = 2 };
        root.Directory!.Parent = rootInode;
        _inodes.Add(rootInode, root);
    }

    public ulong RootInode { get; }

    public bool IsReadOnly { get; }

    /// <summary>Inodes that exist, named or referenced.</summary>
    public int InodeCount => _inodes.Count;

    /// <summary>Called at the start of each Read, before any lock, with the inode: a place to wait.</summary>
    public Action<ulong, long, int>? Reading { get; init; }

    /// <summary>Calls of <see cref="Sync"/> and <see cref="SyncAll"/>.</summary>
    public int SyncCount { get; private set; }

    public FileSystemStatistics GetStatistics()
    {
        ulong free = (ulong)Math.Max(0, _blockLimit - Interlocked.Read(ref _blockCount));
        return new FileSystemStatistics(
            BlockByteCount, (ulong)_blockLimit, free, free, _inodeLimit, _inodeLimit - (uint)_inodes.Count, MaximumNameByteCount);
    }

    public void Forget(ulong inode, ulong referenceCount)
    {
        _lock.EnterWriteLock();
        try
        {
            if (_inodes.TryGetValue(inode, out MemoryInode? node))
            {
                if (referenceCount > node.ReferenceCount)
                {
                    throw new InvalidOperationException(
                        $"inode {inode} has {node.ReferenceCount} references, {referenceCount} are given back");
                }

                node.ReferenceCount -= referenceCount;
                RemoveIfUnused(node);
            }
        }
        finally
        {
            _lock.ExitWriteLock();
        }
    }

    public FileSystemError GetAttributes(ulong inode, out InodeAttributes attributes)
    {
        _lock.EnterReadLock();
        try
        {
            attributes = default;
            if (!_inodes.TryGetValue(inode, out MemoryInode? node))
            {
                return FileSystemError.StaleInode;
            }

            attributes = node.ToAttributes();
            return FileSystemError.None;
        }
        finally
        {
            _lock.ExitReadLock();
        }
    }

    public FileSystemError SetAttributes(ulong inode, in AttributeChange change, out InodeAttributes attributes)
    {
        _lock.EnterWriteLock();
        try
        {
            attributes = default;
            FileSystemError error = FindForChange(inode, out MemoryInode node);
            if (error == FileSystemError.None)
            {
                error = Apply(node, change);
                attributes = node.ToAttributes();
            }

            return error;
        }
        finally
        {
            _lock.ExitWriteLock();
        }
    }

    public FileSystemError Sync(ulong inode, bool dataOnly)
    {
        SyncCount++;
        return GetAttributes(inode, out _);
    }

    public FileSystemError SyncAll()
    {
        SyncCount++;
        return FileSystemError.None;
    }

    public void Dispose() => _lock.Dispose();

    /// <summary>References that are held, the root's excepted: what a surface has not given back.</summary>
    public ulong CountReferences()
    {
        _lock.EnterReadLock();
        try
        {
            return _inodes.Values.Aggregate(0UL, (sum, node) => sum + node.ReferenceCount);
        }
        finally
        {
            _lock.ExitReadLock();
        }
    }

    private static void Touch(MemoryInode node, bool modified)
    {
        node.ChangeTime = UnixTime.Now;
        if (modified)
        {
            node.ModifyTime = node.ChangeTime;
        }
    }

    private static void KillPrivileges(MemoryInode node)
    {
        node.ExtendedAttributes.Remove("security.capability");
        node.Mode &= ~UnixMode.SetUserId;
        if ((node.Mode & UnixMode.GroupExecute) != 0)
        {
            node.Mode &= ~UnixMode.SetGroupId;
        }
    }

    private FileSystemError FindForChange(ulong inode, out MemoryInode node)
    {
        if (IsReadOnly)
        {
            node = null!;
            return FileSystemError.ReadOnly;
        }

        return _inodes.TryGetValue(inode, out node!) ? FileSystemError.None : FileSystemError.StaleInode;
    }

    private FileSystemError Apply(MemoryInode node, in AttributeChange change)
    {
        if (change.Fields.HasFlag(AttributeFields.Size))
        {
            FileSystemError error = Resize(node, change.Size);
            if (error != FileSystemError.None)
            {
                return error;
            }

            Touch(node, modified: true);
        }

        if (change.Fields.HasFlag(AttributeFields.Mode))
        {
            node.Mode = (node.Mode & UnixMode.TypeMask) | (change.Mode & UnixMode.PermissionMask);
            ApplyModeToAccessList(node);
        }

        node.UserId = change.Fields.HasFlag(AttributeFields.UserId) ? change.UserId : node.UserId;
        node.GroupId = change.Fields.HasFlag(AttributeFields.GroupId) ? change.GroupId : node.GroupId;
        node.AccessTime = change.Fields.HasFlag(AttributeFields.AccessTime) ? change.AccessTime : node.AccessTime;
        node.ModifyTime = change.Fields.HasFlag(AttributeFields.ModifyTime) ? change.ModifyTime : node.ModifyTime;
        if (change.Fields.HasFlag(AttributeFields.KillPrivileges))
        {
            KillPrivileges(node);
        }

        node.ChangeTime = change.Fields.HasFlag(AttributeFields.ChangeTime) ? change.ChangeTime : UnixTime.Now;
        return FileSystemError.None;
    }

    private void RemoveIfUnused(MemoryInode node)
    {
        if (node.LinkCount == 0 && node.ReferenceCount == 0 && node.Inode != RootInode)
        {
            _inodes.Remove(node.Inode);
            Interlocked.Add(ref _blockCount, -node.Blocks.Count);
        }
    }
}
