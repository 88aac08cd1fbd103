namespace VDiskCrypt.Images;

/// <summary>What a disk or partition holds, by its first bytes.</summary>
public enum DiskContent
{
    Unknown,

    /// <summary>The first 64 KiB are zeros.</summary>
    Empty,
    Luks1,
    Luks2,
    Gpt,
    Mbr,
    BitLocker,
    Iso9660,
}
