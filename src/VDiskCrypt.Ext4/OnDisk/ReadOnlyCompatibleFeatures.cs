namespace VDiskCrypt.Ext4.OnDisk;

/// <summary>s_feature_ro_compat: an unknown bit forbids writing.</summary>
[Flags]
internal enum ReadOnlyCompatibleFeatures : uint
{
    SparseSuper = 0x1,
    LargeFile = 0x2,
    BTreeDirectory = 0x4,
    HugeFile = 0x8,
    GroupDescriptorChecksum = 0x10,
    DirectoryLinkCount = 0x20,
    ExtraInodeSize = 0x40,
    HasSnapshot = 0x80,
    Quota = 0x100,
    BigAllocation = 0x200,
    MetadataChecksum = 0x400,
    Replica = 0x800,
    ReadOnly = 0x1000,
    Project = 0x2000,
    SharedBlocks = 0x4000,
    Verity = 0x8000,
    OrphanPresent = 0x10000,
}
