namespace VDiskCrypt.Ext4.OnDisk;

/// <summary>i_flags.</summary>
[Flags]
internal enum InodeFlags : uint
{
    SecureDelete = 0x1,
    Undelete = 0x2,
    Compress = 0x4,
    Synchronous = 0x8,
    Immutable = 0x10,
    AppendOnly = 0x20,
    NoDump = 0x40,
    NoAccessTime = 0x80,
    Encrypt = 0x800,
    DirectoryIndex = 0x1000,
    JournalData = 0x4000,
    NoTail = 0x8000,
    DirectorySynchronous = 0x10000,
    TopDirectory = 0x20000,
    HugeFile = 0x40000,
    Extents = 0x80000,
    Verity = 0x100000,
    ExtendedAttributeInode = 0x200000,
    InlineData = 0x10000000,
    ProjectInherit = 0x20000000,
    CaseFold = 0x40000000,
}
