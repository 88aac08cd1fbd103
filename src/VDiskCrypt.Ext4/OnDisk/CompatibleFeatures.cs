namespace VDiskCrypt.Ext4.OnDisk;

/// <summary>s_feature_compat (Linux Documentation/filesystems/ext4, "The Super Block"): unknown bits harm nobody.</summary>
[Flags]
internal enum CompatibleFeatures : uint
{
    DirectoryPreallocation = 0x1,
    ImagicInodes = 0x2,
    HasJournal = 0x4,
    ExtendedAttributes = 0x8,
    ResizeInode = 0x10,
    DirectoryIndex = 0x20,
    LazyBlockGroups = 0x40,
    ExcludeInode = 0x80,
    ExcludeBitmap = 0x100,
    SparseSuper2 = 0x200,
    FastCommit = 0x400,
    StableInodes = 0x800,
    OrphanFile = 0x1000,
}
