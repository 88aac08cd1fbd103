namespace VDiskCrypt.Ext4.OnDisk;

/// <summary>s_feature_incompat: an unknown bit forbids opening.</summary>
[Flags]
internal enum IncompatibleFeatures : uint
{
    Compression = 0x1,
    FileType = 0x2,
    Recover = 0x4,
    JournalDevice = 0x8,
    MetaBlockGroups = 0x10,
    Extents = 0x40,
    SixtyFourBit = 0x80,
    MultipleMountProtection = 0x100,
    FlexibleBlockGroups = 0x200,
    ExtendedAttributeInode = 0x400,
    DirectoryData = 0x1000,
    ChecksumSeed = 0x2000,
    LargeDirectory = 0x4000,
    InlineData = 0x8000,
    Encrypt = 0x10000,
    CaseFold = 0x20000,
}
