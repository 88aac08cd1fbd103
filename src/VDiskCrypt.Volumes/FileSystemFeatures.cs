namespace VDiskCrypt.Volumes;

/// <summary>Features of a new ext4 filesystem beyond those that Debian's mke2fs sets by itself; mke2fs's names.</summary>
[Flags]
public enum FileSystemFeatures
{
    None = 0,

    /// <summary>metadata_csum_seed: the UUID can change without rewriting all checksums.</summary>
    MetadataChecksumSeed = 1,

    /// <summary>orphan_file: deletions under way are kept in a file, not in a list.</summary>
    OrphanFile = 2,
}
