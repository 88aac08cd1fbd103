namespace VDiskCrypt.Ext4.Directories;

/// <summary>The hashes of names in an indexed directory; the values are dx_root_info.hash_version after the superblock's sign flag was added.</summary>
internal enum DirectoryHashKind : byte
{
    Legacy = 0,
    HalfMd4 = 1,
    Tea = 2,
    LegacyUnsigned = 3,
    HalfMd4Unsigned = 4,
    TeaUnsigned = 5,
}
