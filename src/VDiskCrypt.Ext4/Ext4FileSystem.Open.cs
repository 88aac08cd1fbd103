using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Allocation;
using VDiskCrypt.Ext4.Cache;
using VDiskCrypt.Ext4.Directories;
using VDiskCrypt.Ext4.Extents;
using VDiskCrypt.Ext4.Files;
using VDiskCrypt.Ext4.Inodes;
using VDiskCrypt.Ext4.OnDisk;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4;

/// <content>Opening and closing.</content>
public sealed partial class Ext4FileSystem
{
    private readonly ulong _journalBlockCount;

    private Ext4FileSystem(
        IBlockDevice device, Geometry geometry, Ext4Options options, bool isReadOnly, ReadOnlyCompatibleFeatures forbidding)
    {
        _device = device;
        _geometry = geometry;
        _isReadOnly = isReadOnly;
        if (forbidding != 0)
        {
            _notices.Add($"opened read-only: writing with {FeatureNames.Of(forbidding)} is not supported");
        }

        _cache = new BlockCache(device, geometry.BlockByteSize, geometry.BlockCount, options.MetadataCacheByteLimit);
        _superblock = new SuperblockState(geometry, _cache);
        try
        {
            var checksum = new MetadataChecksum(_superblock.View);
            _groups = new GroupTable(geometry, checksum, _cache);
            _systemZone = new SystemZone(geometry, _groups);
            _blocks = new BlockAllocator(geometry, _groups, _cache, _systemZone, options.Discard ? device : null);
            _inodeNumbers = new InodeAllocator(geometry, _groups, _cache, _blocks);
            var target = new InPlaceCommit(device, geometry.BlockByteSize, Math.Max(_cache.BlockLimit / 2, 128));
            _log = new TransactionLog(_cache, target, Prepare, _blocks.Release, RecordAbort);
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

    /// <summary>Opens the filesystem on a device. Where it cannot be written safely it opens read-only with a notice.</summary>
    /// <exception cref="VDiskException">Damaged; Unsupported, naming the features; ReadOnly; failures of the device.</exception>
    public static Ext4FileSystem Open(IBlockDevice device, Ext4Options options)
    {
        ArgumentNullException.ThrowIfNull(device);
        ArgumentNullException.ThrowIfNull(options);
        if (device.ByteLength < SuperblockOnDisk.ByteOffset + SuperblockOnDisk.ByteLength)
        {
            throw VDiskException.Damaged("ext4 superblock", SuperblockOnDisk.ByteOffset, "the device is too small for a filesystem");
        }

        var bytes = new byte[SuperblockOnDisk.ByteLength];
        device.Read(SuperblockOnDisk.ByteOffset, bytes);
        Geometry geometry = Geometry.Parse(bytes, device.ByteLength, out ReadOnlyCompatibleFeatures forbidding);
        if (geometry.Has(IncompatibleFeatures.Recover))
        {
            throw VDiskException.Unsupported(
                "ext4 journal", "the filesystem was not unmounted cleanly and its journal must be replayed first",
                "run e2fsck on it, or mount it once with the kernel's ext4");
        }

        ushort state = new SuperblockOnDisk(bytes).State;
        bool isClean = (state & SuperblockOnDisk.StateValid) != 0 && (state & SuperblockOnDisk.StateError) == 0;
        bool wantsWrite = !options.ReadOnly && !device.IsReadOnly;
        var fileSystem = new Ext4FileSystem(
            device, geometry, options, !wantsWrite || forbidding != 0 || !isClean, wantsWrite ? forbidding : 0);
        if (wantsWrite && !isClean)
        {
            fileSystem._notices.Add("opened read-only: it was not unmounted cleanly, or errors were recorded; run e2fsck");
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

    /// <summary>Marks the filesystem as in use, then finishes what a crash interrupted.</summary>
    private void Start(int commitIntervalMs)
    {
        List<uint> orphans = _orphans.Load(_geometry.InodeCount, IsPossibleOrphan);
        using (TransactionHandle handle = _log.Begin(8))
        {
            _superblock.Modify(handle);
            SuperblockOnDisk view = _superblock.View;
            view.State = (ushort)(view.State & ~SuperblockOnDisk.StateValid);
            view.MountTime = (uint)UnixTime.Now.Seconds;
            view.MountCount++;
            if (_geometry.OrphanFileInode != 0)
            {
                view.ReadOnlyCompatible |= ReadOnlyCompatibleFeatures.OrphanPresent;
            }

            handle.Complete();
        }

        _log.Commit();
        foreach (uint orphan in orphans)
        {
            FinishOrphan(orphan);
        }

        _committer = new Thread(() => CommitRegularly(commitIntervalMs)) { IsBackground = true, Name = "ext4 commit" };
        _committer.Start();
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
        _superblock.Modify(handle);
        SuperblockOnDisk view = _superblock.View;
        view.FreeBlockCount = _blocks.FreeBlockCount;
        view.FreeInodeCount = _inodeNumbers.FreeInodeCount;
        view.WriteTime = (uint)UnixTime.Now.Seconds;
        _superblock.StoreChecksum();
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
        using (TransactionHandle handle = _log.Begin(8))
        {
            _superblock.Modify(handle);
            SuperblockOnDisk view = _superblock.View;
            view.State |= SuperblockOnDisk.StateValid;
            view.ReadOnlyCompatible &= ~ReadOnlyCompatibleFeatures.OrphanPresent;
            handle.Complete();
        }

        _log.Dispose();
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
