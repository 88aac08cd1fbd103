using System.Numerics;
using System.Text;
using VDiskCrypt.Core;
using VDiskCrypt.Ext4.OnDisk;

namespace VDiskCrypt.Ext4;

/// <summary>
/// What the superblock says about sizes, places and features, checked against itself and against the device. Immutable.
/// Source: Linux Documentation/filesystems/ext4/super.rst and blockgroup.rst.
/// </summary>
internal sealed class Geometry
{
    private const int MinimumLogBlockSize = 10;
    private const int MaximumLogBlockSize = 16;

    private const IncompatibleFeatures HandledIncompatible =
        IncompatibleFeatures.FileType | IncompatibleFeatures.Recover | IncompatibleFeatures.MetaBlockGroups
        | IncompatibleFeatures.Extents | IncompatibleFeatures.SixtyFourBit | IncompatibleFeatures.FlexibleBlockGroups
        | IncompatibleFeatures.ChecksumSeed | IncompatibleFeatures.LargeDirectory;

    private const ReadOnlyCompatibleFeatures HandledReadOnlyCompatible =
        ReadOnlyCompatibleFeatures.SparseSuper | ReadOnlyCompatibleFeatures.LargeFile
        | ReadOnlyCompatibleFeatures.HugeFile | ReadOnlyCompatibleFeatures.GroupDescriptorChecksum
        | ReadOnlyCompatibleFeatures.DirectoryLinkCount | ReadOnlyCompatibleFeatures.ExtraInodeSize
        | ReadOnlyCompatibleFeatures.MetadataChecksum | ReadOnlyCompatibleFeatures.OrphanPresent;

    private Geometry(SuperblockOnDisk superblock)
    {
        Compatible = superblock.Compatible;
        Incompatible = superblock.Incompatible;
        ReadOnlyCompatible = superblock.ReadOnlyCompatible;
        BlockBits = (int)superblock.LogBlockSize + MinimumLogBlockSize;
        BlockCount = superblock.BlockCount;
        ReservedBlockCount = Math.Min(superblock.ReservedBlockCount, BlockCount);
        FirstDataBlock = superblock.FirstDataBlock;
        BlocksPerGroup = superblock.BlocksPerGroup;
        InodesPerGroup = superblock.InodesPerGroup;
        InodeCount = superblock.InodeCount;
        bool isOriginal = superblock.RevisionLevel == 0;
        InodeByteSize = isOriginal ? InodeOnDisk.GoodOldByteLength : superblock.InodeByteSize;
        FirstInode = isOriginal ? 11 : superblock.FirstInode;
        DescriptorByteSize = Has(IncompatibleFeatures.SixtyFourBit)
            ? superblock.GroupDescriptorByteSize
            : GroupDescriptorOnDisk.SmallByteLength;
        ReservedGdtBlocks = superblock.ReservedGdtBlocks;
        FirstMetaBlockGroup = superblock.FirstMetaBlockGroup;
        WantedExtraInodeSize = superblock.WantedExtraInodeSize;
        LogGroupsPerFlex = Has(IncompatibleFeatures.FlexibleBlockGroups) && superblock.LogGroupsPerFlex < 31
            ? superblock.LogGroupsPerFlex
            : 0;
        BackupGroup0 = superblock.BackupGroup(0);
        BackupGroup1 = superblock.BackupGroup(1);
        HashSeed = superblock.HashSeed.ToArray();
        DefaultHashVersion = superblock.DefaultHashVersion;
        HashesAreUnsigned = (superblock.Flags & SuperblockOnDisk.FlagUnsignedHash) != 0;
        JournalInode = superblock.JournalInode;
        OrphanFileInode = (Compatible & CompatibleFeatures.OrphanFile) != 0 ? superblock.OrphanFileInode : 0;
        Uuid = new Guid(superblock.Uuid, bigEndian: true);
        ReadOnlySpan<byte> label = superblock.VolumeName;
        int end = label.IndexOf((byte)0);
        Label = Encoding.UTF8.GetString(end < 0 ? label : label[..end]);
    }

    public CompatibleFeatures Compatible { get; }

    public IncompatibleFeatures Incompatible { get; }

    public ReadOnlyCompatibleFeatures ReadOnlyCompatible { get; }

    public int BlockBits { get; }

    public int BlockByteSize => 1 << BlockBits;

    public ulong BlockCount { get; }

    public ulong ReservedBlockCount { get; }

    /// <summary>1 with blocks of 1 KiB, else 0: where group 0 begins.</summary>
    public uint FirstDataBlock { get; }

    public uint BlocksPerGroup { get; }

    public uint InodesPerGroup { get; }

    public uint InodeCount { get; }

    public int InodeByteSize { get; }

    /// <summary>The first inode that is not reserved.</summary>
    public uint FirstInode { get; }

    public int DescriptorByteSize { get; }

    public ushort ReservedGdtBlocks { get; }

    public uint FirstMetaBlockGroup { get; }

    public ushort WantedExtraInodeSize { get; }

    public int LogGroupsPerFlex { get; }

    public uint BackupGroup0 { get; }

    public uint BackupGroup1 { get; }

    public byte[] HashSeed { get; }

    public byte DefaultHashVersion { get; }

    public bool HashesAreUnsigned { get; }

    public uint JournalInode { get; }

    /// <summary>0 without the orphan_file feature.</summary>
    public uint OrphanFileInode { get; }

    public Guid Uuid { get; }

    public string Label { get; }

    public uint GroupCount => (uint)((BlockCount - FirstDataBlock + BlocksPerGroup - 1) / BlocksPerGroup);

    public int DescriptorsPerBlock => BlockByteSize / DescriptorByteSize;

    public uint DescriptorBlockCount => (GroupCount + (uint)DescriptorsPerBlock - 1) / (uint)DescriptorsPerBlock;

    public int InodesPerBlock => BlockByteSize / InodeByteSize;

    public uint InodeTableBlockCount => (InodesPerGroup + (uint)InodesPerBlock - 1) / (uint)InodesPerBlock;

    /// <summary>Whether group descriptors have checksums, and with them uninitialised groups.</summary>
    public bool HasGroupChecksums =>
        (ReadOnlyCompatible & (ReadOnlyCompatibleFeatures.GroupDescriptorChecksum | ReadOnlyCompatibleFeatures.MetadataChecksum)) != 0;

    public bool Has(CompatibleFeatures feature) => (Compatible & feature) != 0;

    public bool Has(IncompatibleFeatures feature) => (Incompatible & feature) != 0;

    public bool Has(ReadOnlyCompatibleFeatures feature) => (ReadOnlyCompatible & feature) != 0;

    /// <summary>Checks and takes over a superblock.</summary>
    /// <param name="bytes">The 1024 bytes at byte 1024.</param>
    /// <param name="deviceByteLength">The size of the device.</param>
    /// <param name="mustBeReadOnly">Features that permit reading only; none when writing is possible.</param>
    public static Geometry Parse(Span<byte> bytes, long deviceByteLength, out ReadOnlyCompatibleFeatures mustBeReadOnly)
    {
        var superblock = new SuperblockOnDisk(bytes);
        if (superblock.Magic != SuperblockOnDisk.MagicValue)
        {
            throw Bad("no ext4 filesystem here (the magic number is missing)", "check that this is the right volume");
        }

        if (superblock.RevisionLevel > 1)
        {
            throw VDiskException.Unsupported("ext4 superblock", $"revision {superblock.RevisionLevel} is unknown");
        }

        if ((superblock.ReadOnlyCompatible & ReadOnlyCompatibleFeatures.MetadataChecksum) != 0)
        {
            if (superblock.ChecksumType != 1)
            {
                throw VDiskException.Unsupported("ext4 superblock", $"checksum type {superblock.ChecksumType} is unknown");
            }

            if (superblock.Checksum != MetadataChecksum.Superblock(bytes))
            {
                throw Bad("the superblock's checksum does not match", "run e2fsck, which can restore a backup superblock");
            }
        }

        IncompatibleFeatures unknown = superblock.Incompatible & ~HandledIncompatible;
        if (unknown != 0)
        {
            throw VDiskException.Unsupported(
                "ext4 superblock", $"the filesystem uses features that are not supported: {FeatureNames.Of(unknown)}",
                "remove the feature with tune2fs, or mount with the kernel's ext4");
        }

        mustBeReadOnly = superblock.ReadOnlyCompatible & ~HandledReadOnlyCompatible;
        CheckSizes(superblock, deviceByteLength);
        return new Geometry(superblock);
    }

    public uint GroupOf(ulong block) => (uint)((block - FirstDataBlock) / BlocksPerGroup);

    public ulong FirstBlockOf(uint group) => FirstDataBlock + (ulong)group * BlocksPerGroup;

    /// <summary>The last group may be short.</summary>
    public uint BlockCountOf(uint group) => (uint)Math.Min(BlocksPerGroup, BlockCount - FirstBlockOf(group));

    public uint GroupOfInode(uint inode) => (inode - 1) / InodesPerGroup;

    /// <summary>Whether the group starts with a copy of the superblock.</summary>
    public bool HasSuperblock(uint group)
    {
        if (group == 0)
        {
            return true;
        }

        if (Has(CompatibleFeatures.SparseSuper2))
        {
            return group == BackupGroup0 || group == BackupGroup1;
        }

        return !Has(ReadOnlyCompatibleFeatures.SparseSuper) || group == 1
            || IsPowerOf(group, 3) || IsPowerOf(group, 5) || IsPowerOf(group, 7);
    }

    /// <summary>The block of the primary descriptor table that holds a group's descriptor.</summary>
    public ulong DescriptorBlock(uint group)
    {
        uint index = group / (uint)DescriptorsPerBlock;
        ulong superblockBlock = FirstDataBlock;
        if (!Has(IncompatibleFeatures.MetaBlockGroups) || index < FirstMetaBlockGroup)
        {
            return superblockBlock + 1 + index;
        }

        uint firstGroup = index * (uint)DescriptorsPerBlock;
        return FirstBlockOf(firstGroup) + (HasSuperblock(firstGroup) ? 1u : 0);
    }

    /// <summary>Blocks at the start of a group for the superblock copy, descriptors and room for their growth.</summary>
    public uint BaseMetadataBlockCount(uint group)
    {
        bool hasSuperblock = HasSuperblock(group);
        uint count = hasSuperblock ? 1u : 0;
        uint metaGroup = group / (uint)DescriptorsPerBlock;
        if (Has(IncompatibleFeatures.MetaBlockGroups) && metaGroup >= FirstMetaBlockGroup)
        {
            uint position = group % (uint)DescriptorsPerBlock;
            return count + (position is 0 or 1 || position == DescriptorsPerBlock - 1 ? 1u : 0);
        }

        if (!hasSuperblock)
        {
            return 0;
        }

        uint tables = Has(IncompatibleFeatures.MetaBlockGroups) ? FirstMetaBlockGroup : DescriptorBlockCount;
        return count + tables + ReservedGdtBlocks;
    }

    private static void CheckSizes(SuperblockOnDisk superblock, long deviceByteLength)
    {
        long blockBits = (long)superblock.LogBlockSize + MinimumLogBlockSize;
        if (blockBits > MaximumLogBlockSize)
        {
            throw Bad($"the block size 2^{blockBits} is not valid");
        }

        uint blockByteSize = 1u << (int)blockBits;
        uint maximumPerGroup = blockByteSize * 8;
        uint inodeByteSize = superblock.RevisionLevel == 0 ? (uint)InodeOnDisk.GoodOldByteLength : superblock.InodeByteSize;
        Require(superblock.LogClusterSize == superblock.LogBlockSize, "the cluster size differs from the block size");
        Require(superblock.FirstDataBlock == (blockByteSize == 1024 ? 1u : 0u), "the first data block is not valid");
        Require(superblock.BlocksPerGroup is >= 256 && superblock.BlocksPerGroup <= maximumPerGroup
            && superblock.BlocksPerGroup % 8 == 0, "the number of blocks per group is not valid");
        Require(BitOperations.IsPow2(inodeByteSize) && inodeByteSize >= InodeOnDisk.GoodOldByteLength
            && inodeByteSize <= blockByteSize, "the inode size is not valid");
        uint inodesPerBlock = blockByteSize / inodeByteSize;
        Require(superblock.InodesPerGroup >= inodesPerBlock && superblock.InodesPerGroup <= maximumPerGroup
            && superblock.InodesPerGroup % 8 == 0, "the number of inodes per group is not valid");
        ulong blockCount = superblock.BlockCount;
        Require(blockCount > superblock.FirstDataBlock, "there are no blocks");
        Require(blockCount <= (ulong)deviceByteLength / blockByteSize,
            $"the filesystem ({blockCount} blocks of {blockByteSize} bytes) is larger than its device");
        ulong groups = (blockCount - superblock.FirstDataBlock + superblock.BlocksPerGroup - 1) / superblock.BlocksPerGroup;
        Require(groups * superblock.InodesPerGroup == superblock.InodeCount, "the number of inodes does not fit the groups");
        if ((superblock.Incompatible & IncompatibleFeatures.SixtyFourBit) != 0)
        {
            Require(superblock.GroupDescriptorByteSize is >= 64 and <= 1024
                && BitOperations.IsPow2(superblock.GroupDescriptorByteSize), "the descriptor size is not valid");
        }

        if (superblock.RevisionLevel > 0)
        {
            Require(superblock.FirstInode >= 11 && superblock.FirstInode < superblock.InodeCount,
                "the first inode number is not valid");
            Require(inodeByteSize == InodeOnDisk.GoodOldByteLength
                || superblock.WantedExtraInodeSize <= inodeByteSize - InodeOnDisk.GoodOldByteLength,
                "the wanted extra inode size is not valid");
        }

        Require(superblock.ReservedGdtBlocks <= blockByteSize / 4, "the number of reserved descriptor blocks is not valid");
        ulong descriptors = blockByteSize / (superblock.GroupDescriptorByteSize >= 64 ? (uint)superblock.GroupDescriptorByteSize : 32u);
        Require((superblock.Incompatible & IncompatibleFeatures.MetaBlockGroups) != 0
            || 1 + (groups + descriptors - 1) / descriptors + superblock.FirstDataBlock < blockCount,
            "the descriptor table does not fit");
    }

    private static void Require(bool condition, string what)
    {
        if (!condition)
        {
            throw Bad(what);
        }
    }

    private static VDiskException Bad(string what, string remedy = "check the filesystem with e2fsck") =>
        VDiskException.Damaged("ext4 superblock", SuperblockOnDisk.ByteOffset, what, remedy);

    private static bool IsPowerOf(uint value, uint factor)
    {
        ulong power = factor;
        while (power < value)
        {
            power *= factor;
        }

        return power == value;
    }
}
