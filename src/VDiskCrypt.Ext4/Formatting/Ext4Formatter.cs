using System.Security.Cryptography;
using System.Text;
using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Formatting;
using VDiskCrypt.Ext4.OnDisk;

namespace VDiskCrypt.Ext4;

/// <summary>
/// Makes an ext4 filesystem with the features that mke2fs sets by default. It sits on a cipher, below which unwritten
/// bytes read as garbage: every block that anybody reads later is written; what stays unwritten is marked as
/// uninitialised, which kernel, e2fsck and this program then do not read.
/// </summary>
public static class Ext4Formatter
{
    private const ushort NeverCheckByCount = ushort.MaxValue;
    private const byte HalfMd4 = 1;
    private const byte ChecksumTypeCrc32C = 1;
    private const ushort ErrorsContinue = 1;
    private const uint DefaultMountUserXattrAcl = 0xC;
    private const int MaximumLabelByteCount = 16;
    private const int MaximumReservedPercent = 50;

    /// <remarks>
    /// The order of writes: 1. the old superblock is wiped, so that a half-made filesystem is none; 2. bitmaps and the
    /// first inode table; 3. directories, resize inode, orphan file, journal; 4. group descriptors and backups; flush;
    /// 5. the superblock; flush.
    /// </remarks>
    /// <param name="device">Whatever it holds is lost.</param>
    /// <param name="options">What to make.</param>
    /// <exception cref="VDiskException">Usage: too small, or options that make no sense.</exception>
    public static void Format(IBlockDevice device, Ext4FormatOptions options)
    {
        if (options.BlockByteSize is not (1024 or 2048 or 4096) || options.ReservedPercent is < 0 or > MaximumReservedPercent
            || Encoding.UTF8.GetByteCount(options.Label) > MaximumLabelByteCount)
        {
            throw new VDiskException(FailureKind.Usage, "these options make no ext4 filesystem", null,
                "block size 1024, 2048 or 4096; 0 to 50 percent reserved; a label of 16 bytes at most");
        }

        var writer = new FormatWriter(device, new FormatLayout(device.ByteLength, options), BuildSuperblock);
        writer.WriteAll();
    }

    private static void BuildSuperblock(FormatLayout layout, byte[] bytes)
    {
        Ext4FormatOptions options = layout.Options;
        UnixTime now = options.Time ?? UnixTime.Now;
        var superblock = new SuperblockOnDisk(bytes)
        {
            Compatible = CompatibleFeatures.ExtendedAttributes | CompatibleFeatures.DirectoryIndex
                | (layout.ReservedGdtBlockCount > 0 ? CompatibleFeatures.ResizeInode : 0)
                | (layout.JournalBlockCount > 0 ? CompatibleFeatures.HasJournal : 0)
                | (options.OrphanFile ? CompatibleFeatures.OrphanFile : 0),
            Incompatible = IncompatibleFeatures.FileType | IncompatibleFeatures.Extents | IncompatibleFeatures.SixtyFourBit
                | IncompatibleFeatures.FlexibleBlockGroups | (options.MetadataChecksumSeed ? IncompatibleFeatures.ChecksumSeed : 0),
            ReadOnlyCompatible = ReadOnlyCompatibleFeatures.SparseSuper | ReadOnlyCompatibleFeatures.LargeFile
                | ReadOnlyCompatibleFeatures.HugeFile | ReadOnlyCompatibleFeatures.DirectoryLinkCount
                | ReadOnlyCompatibleFeatures.ExtraInodeSize | ReadOnlyCompatibleFeatures.MetadataChecksum,
            InodeCount = checked(layout.InodesPerGroup * layout.GroupCount),
            FirstDataBlock = layout.FirstDataBlock,
            LogBlockSize = (uint)(int.Log2(layout.BlockByteSize) - 10),
            LogClusterSize = (uint)(int.Log2(layout.BlockByteSize) - 10),
            BlocksPerGroup = layout.BlocksPerGroup,
            ClustersPerGroup = layout.BlocksPerGroup,
            InodesPerGroup = layout.InodesPerGroup,
            WriteTime = (uint)now.Seconds,
            MaximumMountCount = NeverCheckByCount,
            Magic = SuperblockOnDisk.MagicValue,
            State = SuperblockOnDisk.StateValid,
            ErrorBehaviour = ErrorsContinue,
            LastCheckTime = (uint)now.Seconds,
            RevisionLevel = 1,
            FirstInode = FormatLayout.LostAndFoundInode,
            InodeByteSize = FormatLayout.InodeByteSize,
            ReservedGdtBlocks = (ushort)layout.ReservedGdtBlockCount,
            JournalInode = layout.JournalBlockCount > 0 ? FormatLayout.JournalInode : 0,
            DefaultHashVersion = HalfMd4,
            GroupDescriptorByteSize = FormatLayout.DescriptorByteSize,
            DefaultMountOptions = DefaultMountUserXattrAcl,
            CreationTime = (uint)now.Seconds,
            MinimumExtraInodeSize = FormatWriter.ExtraInodeByteSize,
            WantedExtraInodeSize = FormatWriter.ExtraInodeByteSize,
            Flags = SuperblockOnDisk.FlagSignedHash,
            LogGroupsPerFlex = FormatLayout.LogGroupsPerFlex,
            ChecksumType = ChecksumTypeCrc32C,
            OverheadClusters = layout.OverheadBlockCount,
            OrphanFileInode = options.OrphanFile ? FormatLayout.OrphanFileInode : 0,
        };

        // The 64-bit counts need the feature words above.
        superblock.BlockCount = layout.BlockCount;
        superblock.ReservedBlockCount = layout.BlockCount * (ulong)options.ReservedPercent / 100;
        superblock.FreeInodeCount = superblock.InodeCount - layout.UsedInodeCount;
        (options.Uuid ?? Guid.NewGuid()).TryWriteBytes(superblock.Uuid, bigEndian: true, out _);
        RandomNumberGenerator.Fill(superblock.HashSeed);
        Encoding.UTF8.GetBytes(options.Label, superblock.VolumeName);
        if (options.MetadataChecksumSeed)
        {
            superblock.ChecksumSeed = Crc32C.Update(uint.MaxValue, superblock.Uuid);
        }
    }
}
