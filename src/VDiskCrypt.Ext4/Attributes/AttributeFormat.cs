namespace VDiskCrypt.Ext4.Attributes;

/// <summary>
/// Where extended attributes lie: a list of entries that grows upwards and their values that grow downwards from the end
/// of the space, either behind the fields of an inode or in a block of their own. Source: Linux
/// Documentation/filesystems/ext4/attributes.rst.
/// </summary>
internal static class AttributeFormat
{
    /// <summary>h_magic of both places.</summary>
    public const uint Magic = 0xEA020000;

    /// <summary>Behind the magic number; value offsets inside an inode count from here.</summary>
    public const int BodyHeaderByteLength = 4;

    /// <summary>Value offsets in a block count from the start of the block.</summary>
    public const int BlockHeaderByteLength = 32;

    public const int ReferenceCountOffset = 0x4;
    public const int BlockCountOffset = 0x8;
    public const int HashOffset = 0xC;
    public const int ChecksumOffset = 0x10;

    public const int NameLengthOffset = 0x0;
    public const int NameIndexOffset = 0x1;
    public const int ValueOffsetOffset = 0x2;
    public const int ValueInodeOffset = 0x4;
    public const int ValueSizeOffset = 0x8;
    public const int EntryHashOffset = 0xC;
    public const int NameOffset = 0x10;

    /// <summary>Four zero bytes end the list.</summary>
    public const int EndByteLength = 4;

    /// <summary>Entries and values begin at multiples of 4.</summary>
    public static int Pad(int byteCount) => (byteCount + 3) & ~3;

    public static int EntryByteLength(int nameLength) => Pad(NameOffset + nameLength);
}
