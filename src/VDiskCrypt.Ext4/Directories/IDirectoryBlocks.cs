using VDiskCrypt.Core;

namespace VDiskCrypt.Ext4.Directories;

/// <summary>
/// The blocks of one directory, as <see cref="DirectoryOperations"/> needs them. The caller of an operation holds the
/// directory's lock: shared for lookups and listings, exclusive for changes.
/// </summary>
internal interface IDirectoryBlocks
{
    DirectoryFormat Format { get; }

    uint InodeNumber { get; }

    /// <summary>The inode's checksum seed (<see cref="OnDisk.MetadataChecksum.InodeSeed"/>); unused without metadata_csum.</summary>
    uint ChecksumSeed { get; }

    /// <summary>i_size in blocks.</summary>
    uint BlockCount { get; }

    /// <summary>The inode flag EXT4_INDEX_FL. It is set inside a change.</summary>
    bool IsIndexed { get; set; }

    /// <summary>
    /// The block, pinned, after <see cref="DirectoryBlockCheck.Verify"/> accepted it (once for as long as it stays cached).
    /// A hole is <see cref="FailureKind.Damaged"/>.
    /// </summary>
    DirectoryBlock Get(uint logicalBlock);

    /// <summary>Called before the bytes of a block are changed.</summary>
    void Modify(in DirectoryBlock block);

    /// <summary>
    /// Adds a block of zeros at the end, pinned and as if <see cref="Modify"/> had been called for it, and counts it in
    /// <see cref="BlockCount"/> and i_size. It counts as verified: what is written into it is sound.
    /// </summary>
    FileSystemError Append(out DirectoryBlock block);
}
