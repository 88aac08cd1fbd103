namespace VDiskCrypt.Ext4.Journal;

/// <summary>s_feature_incompat of a journal (Linux Documentation/filesystems/ext4/journal.rst, "Super Block").</summary>
[Flags]
internal enum JournalIncompatibleFeatures : uint
{
    /// <summary>The log may hold revoke blocks.</summary>
    Revoke = 0x1,

    /// <summary>Block numbers have 64 bits.</summary>
    SixtyFourBit = 0x2,

    /// <summary>Commit blocks may have been written before the rest of their transaction.</summary>
    AsynchronousCommit = 0x4,

    /// <summary>Checksums, 16 bits of them in a tag.</summary>
    ChecksumV2 = 0x8,

    /// <summary>Checksums, all 32 bits in a larger tag.</summary>
    ChecksumV3 = 0x10,

    /// <summary>The end of the journal holds fast commits.</summary>
    FastCommit = 0x20,
}
