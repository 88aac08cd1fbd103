namespace VDiskCrypt.Ext4.Journal;

/// <summary>One entry of a descriptor block: which block of the filesystem the next block of the log is.</summary>
internal readonly record struct JournalTag(ulong Block, uint Flags, uint Checksum)
{
    /// <summary>The block began with the journal's magic number, which the log holds as zeros.</summary>
    public const uint FlagEscaped = 1;

    /// <summary>No UUID follows the tag.</summary>
    public const uint FlagSameUuid = 2;

    /// <summary>The last tag of its descriptor.</summary>
    public const uint FlagLast = 8;
}
