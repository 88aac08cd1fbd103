namespace VDiskCrypt.Ext4.Cache;

/// <summary>As which structure a cached block passed its checks. A block checked as one is not trusted as another.</summary>
internal enum BlockKind : byte
{
    None,
    Bitmap,
    InodeTable,
    ExtentNode,
    PointerBlock,
    Directory,
    DirectoryIndex,
    Attributes,
    SymbolicLink,
    OrphanFile,
}
