using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Formatting;

namespace VDiskCrypt.Ext4.Journal;

/// <summary>
/// The journal of a filesystem: its superblock, its log's place and format, and what of the log is not yet in place.
/// Source: Linux Documentation/filesystems/ext4/journal.rst.
/// </summary>
internal sealed partial class Journal
{
    /// <summary>The smallest journal, as in the kernel and in e2fsprogs.</summary>
    private const uint LeastBlockCount = 1024;

    private const uint DefaultFastCommitBlockCount = 256;

    private const JournalIncompatibleFeatures HandledIncompatible =
        JournalIncompatibleFeatures.Revoke | JournalIncompatibleFeatures.SixtyFourBit
        | JournalIncompatibleFeatures.AsynchronousCommit | JournalIncompatibleFeatures.ChecksumV2
        | JournalIncompatibleFeatures.ChecksumV3 | JournalIncompatibleFeatures.FastCommit;

    private readonly JournalArea _area;
    private readonly Geometry _geometry;
    private readonly byte[] _superblock = new byte[JournalSuperblockOnDisk.ByteLength];

    // Guards _superblock: an abort may record its reason while a commit moves the tail.
    private readonly Lock _superblockLock = new();

    private Journal(IBlockDevice device, Geometry geometry, JournalArea area)
    {
        Device = device;
        _geometry = geometry;
        _area = area;
        _area.Read(0, _superblock);
        CheckSuperblock();
        Format = new JournalFormat(Superblock);
    }

    public IBlockDevice Device { get; }

    public JournalFormat Format { get; private set; }

    /// <summary>Committed blocks that are not in place.</summary>
    public LogMap Map { get; } = new();

    /// <summary>Blocks of the whole journal.</summary>
    public uint BlockCount => _area.BlockCount;

    /// <summary>The first block of the log.</summary>
    public uint First => Superblock.First;

    /// <summary>The first block behind the log.</summary>
    public uint End => Superblock.BlockCount - FastCommitBlockCount;

    public uint LogBlockCount => End - First;

    public bool IsEmpty => Superblock.Start == 0;

    /// <summary>The negative errno that the journal was given up with, or 0.</summary>
    public int ErrorNumber => Superblock.ErrorNumber;

    private JournalSuperblockOnDisk Superblock => new(_superblock);

    private uint FastCommitBlockCount
    {
        get
        {
            JournalSuperblockOnDisk superblock = Superblock;
            if (superblock.BlockType != JournalFormat.TypeSuperblockV2
                || (superblock.Incompatible & JournalIncompatibleFeatures.FastCommit) == 0)
            {
                return 0;
            }

            return superblock.FastCommitBlockCount != 0 ? superblock.FastCommitBlockCount : DefaultFastCommitBlockCount;
        }
    }

    /// <summary>Opens the journal of a filesystem and checks its superblock; changes nothing.</summary>
    public static Journal Open(IBlockDevice device, Geometry geometry)
    {
        BlockRange[] ranges = JournalLocation.Find(device, geometry);
        var area = new JournalArea(device, ranges, geometry.BlockByteSize);
        return area.BlockCount >= LeastBlockCount
            ? new Journal(device, geometry, area)
            : throw Bad($"it has {area.BlockCount} blocks, fewer than {LeastBlockCount}");
    }

    /// <summary>The block behind another one of the log, which is a ring.</summary>
    public uint Next(uint logBlock, uint count = 1)
    {
        uint next = logBlock + count;
        return next < End ? next : next - LogBlockCount;
    }

    /// <summary>Reads a block out of the log, as it belongs into its place.</summary>
    public void ReadLogged(LoggedBlock logged, Span<byte> destination)
    {
        _area.Read(logged.LogBlock, destination);
        if (logged.IsEscaped)
        {
            destination.SetBe32(0, JournalFormat.Magic);
        }
    }

    /// <summary>Writes blocks of the log that do not wrap around.</summary>
    public void WriteLog(uint first, ReadOnlySpan<byte> source, bool forceUnitAccess = false) =>
        _area.Write(first, source, forceUnitAccess);

    /// <summary>Says where the log begins; with <paramref name="start"/> 0 it is empty.</summary>
    /// <param name="start">The block of the log.</param>
    /// <param name="sequence">The transaction there, or the next one.</param>
    /// <param name="forceUnitAccess">Durable on return; otherwise with the next flush.</param>
    public void StoreTail(uint start, uint sequence, bool forceUnitAccess)
    {
        lock (_superblockLock)
        {
            JournalSuperblockOnDisk superblock = Superblock;
            superblock.Start = start;
            superblock.Sequence = sequence;
            superblock.Head = 0;
            WriteSuperblock(forceUnitAccess);
        }
    }

    /// <summary>Says why the journal was given up, or with 0 that this is dealt with. Durable on return.</summary>
    public void StoreError(int errorNumber)
    {
        lock (_superblockLock)
        {
            JournalSuperblockOnDisk superblock = Superblock;
            superblock.ErrorNumber = errorNumber;
            WriteSuperblock(forceUnitAccess: true);
        }
    }

    /// <summary>
    /// Sets the features that the kernel sets when it mounts: checksums of version 3 with metadata_csum and none without;
    /// wide block numbers with 64bit. The log is empty.
    /// </summary>
    public void PrepareForWriting()
    {
        lock (_superblockLock)
        {
            JournalSuperblockOnDisk superblock = Superblock;
            if (superblock.BlockType == JournalFormat.TypeSuperblockV1)
            {
                _superblock.AsSpan(JournalSuperblockOnDisk.VersionOneByteLength).Clear();
                superblock.BlockType = JournalFormat.TypeSuperblockV2;
                superblock.UserCount = 1;
            }

            bool hasChecksums = _geometry.Has(OnDisk.ReadOnlyCompatibleFeatures.MetadataChecksum);
            superblock.Compatible &= ~JournalFormat.CompatibleChecksum;
            superblock.Incompatible = JournalIncompatibleFeatures.Revoke
                | (hasChecksums ? JournalIncompatibleFeatures.ChecksumV3 : 0)
                | (_geometry.Has(OnDisk.IncompatibleFeatures.SixtyFourBit) ? JournalIncompatibleFeatures.SixtyFourBit : 0);
            superblock.ChecksumType = hasChecksums ? JournalSuperblockOnDisk.ChecksumTypeCrc32C : (byte)0;
            Format = new JournalFormat(superblock);
            WriteSuperblock(forceUnitAccess: true);
        }
    }

    private void WriteSuperblock(bool forceUnitAccess)
    {
        if (Format.HasChecksums)
        {
            JournalSuperblockOnDisk superblock = Superblock;
            superblock.Checksum = superblock.ComputeChecksum();
        }

        _area.Write(0, _superblock, forceUnitAccess);
    }

    private void CheckSuperblock()
    {
        JournalSuperblockOnDisk superblock = Superblock;
        if (superblock.Magic != JournalFormat.Magic
            || superblock.BlockType is not (JournalFormat.TypeSuperblockV1 or JournalFormat.TypeSuperblockV2))
        {
            throw Bad("its superblock has the wrong magic number or type");
        }

        if (superblock.BlockType == JournalFormat.TypeSuperblockV2)
        {
            CheckFeatures(superblock);
        }

        uint fastCommits = FastCommitBlockCount;
        if (superblock.BlockByteSize != (uint)_geometry.BlockByteSize || superblock.BlockCount > _area.BlockCount
            || superblock.BlockCount < LeastBlockCount || fastCommits == 1 || fastCommits > superblock.BlockCount / 2
            || superblock.First == 0 || superblock.First > superblock.BlockCount - fastCommits - LeastBlockCount / 4
            || superblock.Start != 0 && (superblock.Start < superblock.First || superblock.Start >= End))
        {
            throw Bad("its superblock names sizes or places that are not valid");
        }
    }

    private static void CheckFeatures(JournalSuperblockOnDisk superblock)
    {
        JournalIncompatibleFeatures features = superblock.Incompatible;
        var unknown = (uint)(features & ~HandledIncompatible);
        if (unknown != 0 || superblock.ReadOnlyCompatible != 0)
        {
            throw VDiskException.Unsupported(
                "ext4 journal", $"the journal uses unknown features (incompat 0x{unknown:x}, ro_compat 0x{superblock.ReadOnlyCompatible:x})",
                "run a newer e2fsck on it, or mount it once with the kernel's ext4");
        }

        const JournalIncompatibleFeatures Both = JournalIncompatibleFeatures.ChecksumV2 | JournalIncompatibleFeatures.ChecksumV3;
        if ((features & Both) == Both)
        {
            throw Bad("its superblock claims two kinds of checksums");
        }

        if ((features & Both) == 0)
        {
            return;
        }

        if (superblock.ChecksumType != JournalSuperblockOnDisk.ChecksumTypeCrc32C)
        {
            throw VDiskException.Unsupported("ext4 journal", $"checksum type {superblock.ChecksumType} is unknown");
        }

        if (superblock.Checksum != superblock.ComputeChecksum())
        {
            throw Bad("the checksum of its superblock does not match");
        }
    }

    private static VDiskException Bad(string what) =>
        VDiskException.Damaged("ext4 journal", 0, $"the journal cannot be used: {what}", "check the filesystem with e2fsck");
}
