using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Allocation;
using VDiskCrypt.Ext4.Cache;
using VDiskCrypt.Ext4.Directories;
using VDiskCrypt.Ext4.Extents;
using VDiskCrypt.Ext4.Files;
using VDiskCrypt.Ext4.Inodes;
using VDiskCrypt.Ext4.Journal;
using VDiskCrypt.Ext4.OnDisk;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4;

/// <content>Opening and closing.</content>
public sealed partial class Ext4FileSystem
{
    private readonly ulong _journalBlockCount;
    private readonly Journal.Journal? _journal;
    private readonly FlushGate _flushes;

    private Ext4FileSystem(IBlockDevice device, Recovery recovery, Ext4Options options, bool isReadOnly)
    {
        Geometry geometry = recovery.Geometry;
        _device = device;
        _geometry = geometry;
        _isReadOnly = isReadOnly;
        _notices.AddRange(recovery.Notices);
        _journal = recovery.Journal;
        _flushes = new FlushGate(device);
        IBlockDevice metadataDevice = _journal is null || isReadOnly ? device : new LoggedDevice(device, _journal, geometry.BlockByteSize);
        _cache = new BlockCache(metadataDevice, geometry.BlockByteSize, geometry.BlockCount, options.MetadataCacheByteLimit);
        _superblock = new SuperblockState(geometry, _cache);
        try
        {
            var checksum = new MetadataChecksum(_superblock.View);
            _groups = new GroupTable(geometry, checksum, _cache);
            _systemZone = new SystemZone(geometry, _groups);
            _blocks = new BlockAllocator(geometry, _groups, _cache, _systemZone, options.Discard ? device : null);
            _inodeNumbers = new InodeAllocator(geometry, _groups, _cache, _blocks);
            CommitTarget target = CreateTarget();
            _log = new TransactionLog(
                _cache, target, options.DataMode == DataMode.Ordered, Prepare, _blocks.Release, RecordAbort);
            _inodes = new InodeStore(geometry, checksum, _cache, _groups, _blocks, options.InodeCacheLimit)
            {
                IsOrphan = number => _orphans!.Contains(number),
                RunningTransaction = () => _log.RunningId,
            };
            var extents = new ExtentTree(geometry, _cache, _blocks, checksum.IsEnabled);
            _orphans = new OrphanList(_superblock, null) { Inodes = _inodes };
            if (geometry.OrphanFileInode != 0)
            {
                Inode file = _inodes.TryGetAny(CheckReserved(geometry.OrphanFileInode)) ?? throw BadOrphanFile();
                _orphans = new OrphanList(_superblock, new OrphanFile(_cache, extents, file, checksum.IsEnabled)) { Inodes = _inodes };
                file.Unpin();
            }

            var indirect = new IndirectMap(geometry, _cache, _blocks);
            _content = new FileContent(device, geometry, _cache, _blocks, extents, indirect, _inodes, _log, _orphans);
            _directories = new DirectoryContent(new DirectoryFormat(_superblock.View), _content);
            _attributes = new Attributes.AttributeContent(geometry, checksum, _cache, _blocks, _inodes);
            _journalBlockCount = JournalBlockCount();
            CheckRoot();
        }
        catch
        {
            _superblock.Dispose();
            _cache.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Opens the filesystem on a device; what a crash left in its journal is replayed first. Where it cannot be written
    /// safely it opens read-only with a notice. Opened for reading it is not written at all: the journal is read through.
    /// </summary>
    /// <exception cref="VDiskException">Damaged; Unsupported, naming the features; ReadOnly; failures of the device.</exception>
    public static Ext4FileSystem Open(IBlockDevice device, Ext4Options options)
    {
        ArgumentNullException.ThrowIfNull(device);
        ArgumentNullException.ThrowIfNull(options);
        if (device.ByteLength < SuperblockOnDisk.ByteOffset + SuperblockOnDisk.ByteLength)
        {
            throw VDiskException.Damaged("ext4 superblock", SuperblockOnDisk.ByteOffset, "the device is too small for a filesystem");
        }

        bool wantsWrite = !options.ReadOnly && !device.IsReadOnly;
        Recovery recovery = Recovery.Run(device, wantsWrite);
        bool isClean = (recovery.State & SuperblockOnDisk.StateValid) != 0 && (recovery.State & SuperblockOnDisk.StateError) == 0;
        string? obstacle = recovery.Forbidding != 0 ? $"writing with {FeatureNames.Of(recovery.Forbidding)} is not supported"
            : recovery.Obstacle ?? (isClean ? null : "it was not unmounted cleanly, or errors were recorded; run e2fsck");
        var fileSystem = new Ext4FileSystem(recovery.View, recovery, options, !wantsWrite || obstacle is not null);
        if (wantsWrite && obstacle is not null)
        {
            fileSystem._notices.Add($"opened read-only: {obstacle}");
        }

        try
        {
            if (!fileSystem._isReadOnly)
            {
                fileSystem.Start(options.CommitIntervalMs);
            }

            return fileSystem;
        }
        catch
        {
            fileSystem._isDisposed = true;
            fileSystem._superblock.Dispose();
            fileSystem._cache.Dispose();
            throw;
        }
    }

    private CommitTarget CreateTarget()
    {
        if (_journal is null || _isReadOnly)
        {
            return new InPlaceCommit(_device, _flushes, _geometry.BlockByteSize, Math.Max(_cache.BlockLimit / 2, 128));
        }

        _journal.PrepareForWriting();
        return new JournalCommit(_journal, _cache, _flushes);
    }

    /// <summary>Marks the filesystem as in use, then finishes what a crash interrupted.</summary>
    private void Start(int commitIntervalMs)
    {
        List<uint> orphans = _orphans.Load(_geometry.InodeCount, IsPossibleOrphan);
        if (_journal is null)
        {
            using TransactionHandle handle = _log.Begin(8);
            _superblock.Modify(handle);
            MarkInUse();
            handle.Complete();
        }
        else
        {
            // Before anything is committed: whoever finds the log must know that it counts.
            MarkInUse();
            _superblock.WriteInPlace(_device);
        }

        _log.Commit();
        foreach (uint orphan in orphans)
        {
            FinishOrphan(orphan);
        }

        _committer = new Thread(() => CommitRegularly(commitIntervalMs)) { IsBackground = true, Name = "ext4 commit" };
        _committer.Start();
    }

    /// <summary>With a journal the state stays "valid": recovery, not a check, is what a crash makes necessary.</summary>
    private void MarkInUse()
    {
        SuperblockOnDisk view = _superblock.View;
        if (_journal is null)
        {
            view.State = (ushort)(view.State & ~SuperblockOnDisk.StateValid);
        }
        else
        {
            view.Incompatible |= IncompatibleFeatures.Recover;
            StoreCounters();
        }

        view.MountTime = (uint)UnixTime.Now.Seconds;
        view.MountCount++;
        if (_geometry.OrphanFileInode != 0)
        {
            view.ReadOnlyCompatible |= ReadOnlyCompatibleFeatures.OrphanPresent;
        }
    }

    private bool IsPossibleOrphan(uint number) =>
        number >= _geometry.FirstInode && number <= _geometry.InodeCount && _inodeNumbers.IsAllocated(number);

    private void FinishOrphan(uint number)
    {
        Inode inode = _inodes.TryGet(number) ?? throw VDiskException.Damaged(
            "ext4 orphan list", SuperblockOnDisk.ByteOffset + 0xE8, $"inode {number} is not in use", "check the filesystem with e2fsck");
        try
        {
            if (inode.LinkCount == 0)
            {
                Delete(inode);
                return;
            }

            _content.FinishTruncation(inode);
        }
        finally
        {
            inode.Unpin();
        }
    }

    private void CommitRegularly(int intervalMs)
    {
        while (!_stopping.Wait(intervalMs))
        {
            try
            {
                if (_log.HasChanges && !_log.IsAborted)
                {
                    _log.Commit();
                }

                _log.Tend();
            }
            catch (VDiskException)
            {
                // The log has recorded the failure: every later change is refused with it.
            }
        }
    }

    /// <summary>With no other handle open: counters and checksums go into their blocks.</summary>
    private void Prepare(TransactionHandle handle)
    {
        _groups.Store(handle);
        if (_journal is null)
        {
            _superblock.Modify(handle);
        }

        // With a journal its counters alone are not worth a block of every commit: they are counted anew at each opening,
        // by the kernel and e2fsck too, and stored when it ends.
        if (_superblock.IsPartOf(handle.Transaction))
        {
            StoreCounters();
            _superblock.StoreChecksum();
        }
    }

    /// <summary>The kernel leaves these counters as they were at mount: after a replay they are ours to count.</summary>
    private void StoreCounters()
    {
        SuperblockOnDisk view = _superblock.View;
        view.FreeBlockCount = _blocks.FreeBlockCount;
        view.FreeInodeCount = _inodeNumbers.FreeInodeCount;
        view.WriteTime = (uint)UnixTime.Now.Seconds;
    }

    /// <summary>Nothing may be committed any more; that errors were found is noted where e2fsck looks, if the device lets us.</summary>
    private void RecordAbort(string what, Exception? cause)
    {
        try
        {
            var bytes = new byte[SuperblockOnDisk.ByteLength];
            _device.Read(SuperblockOnDisk.ByteOffset, bytes);
            var view = new SuperblockOnDisk(bytes);
            view.State |= SuperblockOnDisk.StateError;
            view.ErrorCount++;
            view.LastErrorTime = (uint)UnixTime.Now.Seconds;
            if (view.FirstErrorTime == 0)
            {
                view.FirstErrorTime = view.LastErrorTime;
            }

            if (_geometry.Has(ReadOnlyCompatibleFeatures.MetadataChecksum))
            {
                view.Checksum = MetadataChecksum.Superblock(bytes);
            }

            _device.Write(SuperblockOnDisk.ByteOffset, bytes, forceUnitAccess: true);
        }
        catch (VDiskException)
        {
            // The device that failed us fails again: the superblock says "not clean" already.
        }
    }

    private void Close()
    {
        foreach (uint orphan in _orphans.Snapshot())
        {
            DeleteIfUnused(orphan, ignoreReferences: true);
        }

        _log.Commit();
        if (_journal is null)
        {
            using TransactionHandle handle = _log.Begin(8);
            _superblock.Modify(handle);
            MarkUnused();
            handle.Complete();
        }

        _log.Dispose();
        if (_journal is not null)
        {
            // The log is empty: from here on nobody needs it.
            MarkUnused();
            StoreCounters();
            _superblock.WriteInPlace(_device);
        }
    }

    private void MarkUnused()
    {
        SuperblockOnDisk view = _superblock.View;
        view.State |= SuperblockOnDisk.StateValid;
        view.Incompatible &= ~IncompatibleFeatures.Recover;
        view.ReadOnlyCompatible &= ~ReadOnlyCompatibleFeatures.OrphanPresent;
    }

    private uint CheckReserved(uint number) =>
        number > 0 && number <= _geometry.InodeCount ? number : throw BadOrphanFile();

    private static VDiskException BadOrphanFile() => VDiskException.Damaged(
        "ext4 superblock", SuperblockOnDisk.ByteOffset + 0x280, "the orphan file's inode is not valid", "check the filesystem with e2fsck");

    private ulong JournalBlockCount()
    {
        if (!_geometry.Has(CompatibleFeatures.HasJournal) || _geometry.JournalInode == 0
            || _geometry.JournalInode > _geometry.InodeCount)
        {
            return 0;
        }

        Inode? journal = _inodes.TryGetAny(_geometry.JournalInode);
        ulong count = journal is null ? 0 : (ulong)journal.Size >> _geometry.BlockBits;
        journal?.Unpin();
        return count;
    }

    private void CheckRoot()
    {
        Inode? root = _inodes.TryGet(RootInodeNumber);
        bool isDirectory = root is not null && root.IsDirectory;
        root?.Unpin();
        if (!isDirectory)
        {
            throw VDiskException.Damaged(
                "ext4 inode 2", 0, "the root is not a directory", "check the filesystem with e2fsck");
        }
    }
}
