using System.Collections.Concurrent;
using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Allocation;
using VDiskCrypt.Ext4.Cache;
using VDiskCrypt.Ext4.Extents;
using VDiskCrypt.Ext4.Files;
using VDiskCrypt.Ext4.Inodes;
using VDiskCrypt.Ext4.OnDisk;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4;

/// <summary>
/// The fourth extended filesystem on a block device, for reading and writing, in managed code. Source of the format: Linux
/// Documentation/filesystems/ext4; the features that are handled are in FORMAT.md.
/// </summary>
/// <remarks>
/// Locks, in the order in which they are taken: the lock of directory moves; inode locks, by ascending number; a
/// transaction handle; an inode's map; the orphan list; a reservation; a group; a table block. The device is the caller's
/// and is not disposed.
/// </remarks>
public sealed partial class Ext4FileSystem : IFileSystem
{
    internal const uint RootInodeNumber = 2;

    /// <summary>How often an operation that found no space commits what was freed and tries again.</summary>
    private const int SpaceRetryLimit = 2;

    private readonly IBlockDevice _device;
    private readonly Geometry _geometry;
    private readonly bool _isReadOnly;
    private readonly List<string> _notices = [];
    private readonly BlockCache _cache;
    private readonly SuperblockState _superblock;
    private readonly GroupTable _groups;
    private readonly SystemZone _systemZone;
    private readonly BlockAllocator _blocks;
    private readonly InodeAllocator _inodeNumbers;
    private readonly InodeStore _inodes;
    private readonly OrphanList _orphans;
    private readonly TransactionLog _log;
    private readonly FileContent _content;
    private readonly DirectoryContent _directories;
    private readonly Attributes.AttributeContent _attributes;
    private readonly ReferenceTable _references = new();
    private readonly ConcurrentDictionary<uint, VDiskException> _dataErrors = [];
    private readonly ManualResetEventSlim _stopping = new();
    private Thread? _committer;
    private bool _isDisposed;

    /// <summary>The volume's label.</summary>
    public string Label => _geometry.Label;

    /// <summary>The filesystem's UUID.</summary>
    public Guid Uuid => _geometry.Uuid;

    /// <summary>The names of all features, as e2fsprogs prints them.</summary>
    public string Features =>
        $"{FeatureNames.Of(_geometry.Compatible)} {FeatureNames.Of(_geometry.Incompatible)} {FeatureNames.Of(_geometry.ReadOnlyCompatible)}";

    /// <summary>What a user should know about this opening: why it is read-only, for example.</summary>
    public IReadOnlyList<string> Notices => _notices;

    /// <inheritdoc/>
    public ulong RootInode => RootInodeNumber;

    /// <inheritdoc/>
    public bool IsReadOnly => _isReadOnly || _log.IsAborted;

    /// <inheritdoc/>
    public FileSystemStatistics GetStatistics()
    {
        ulong overhead = _systemZone.BlockCount + _geometry.FirstDataBlock + _journalBlockCount;
        ulong free = _blocks.FreeBlockCount;
        ulong available = free > _geometry.ReservedBlockCount ? free - _geometry.ReservedBlockCount : 0;
        return new FileSystemStatistics(
            (uint)_geometry.BlockByteSize, _geometry.BlockCount - Math.Min(overhead, _geometry.BlockCount), free, available,
            _geometry.InodeCount, _inodeNumbers.FreeInodeCount, DirectoryEntryOnDisk.MaximumNameLength);
    }

    /// <inheritdoc/>
    public void Forget(ulong inode, ulong referenceCount)
    {
        if (inode > uint.MaxValue || !_references.Remove((uint)inode, referenceCount))
        {
            return;
        }

        _dataErrors.TryRemove((uint)inode, out _);
        if (!_isReadOnly && _orphans.Contains((uint)inode))
        {
            try
            {
                DeleteIfUnused((uint)inode, ignoreReferences: false);
            }
            catch (VDiskException)
            {
                // Nobody waits for the answer. The inode stays on the orphan list for the next opening, and where the
                // failure was a change half done, the filesystem has become read-only.
            }
        }
    }

    /// <summary>Commits everything and marks the filesystem as cleanly unmounted. The device stays open.</summary>
    public void Dispose()
    {
        if (_isDisposed)
        {
            return;
        }

        _isDisposed = true;
        _stopping.Set();
        _committer?.Join();
        try
        {
            if (!_isReadOnly && !_log.IsAborted)
            {
                Close();
            }
        }
        finally
        {
            _superblock.Dispose();
            _cache.Dispose();
            _stopping.Dispose();
        }
    }

    private InodeAttributes AttributesOf(Inode inode)
    {
        lock (inode.Map)
        {
            var attributes = new InodeAttributes
            {
                Inode = inode.Number,
                Generation = inode.Generation,
                Mode = inode.Mode,
                LinkCount = inode.LinkCount,
                UserId = inode.UserId,
                GroupId = inode.GroupId,
                Size = inode.Size,
                Blocks512 = (long)inode.Blocks512,
                BlockByteSize = (uint)_geometry.BlockByteSize,
                AccessTime = inode.AccessTime,
                ModifyTime = inode.ModifyTime,
                ChangeTime = inode.ChangeTime,
                BirthTime = inode.BirthTime,
            };
            if ((inode.Mode & UnixMode.TypeMask) is UnixMode.CharacterDevice or UnixMode.BlockDevice)
            {
                (attributes.DeviceMajor, attributes.DeviceMinor) = DeviceNumber.Read(inode.Block);
            }

            return attributes;
        }
    }

    /// <summary>Whether a failed operation should be tried again after a commit made freed blocks available.</summary>
    private bool ShouldRetry(FileSystemError error, ref int attempt)
    {
        if (error != FileSystemError.NoSpace || attempt++ >= SpaceRetryLimit || !_blocks.HasUncommittedFrees)
        {
            return false;
        }

        _log.Commit();
        return true;
    }
}
