using VDiskCrypt.Core;

namespace VDiskCrypt.Ext4;

/// <summary>What a new filesystem is made with; the defaults are those of Debian's mke2fs 1.47, with blocks of 4096 bytes.</summary>
public sealed record Ext4FormatOptions
{
    /// <summary>1024, 2048 or 4096.</summary>
    public int BlockByteSize { get; init; } = 4096;

    /// <summary>Up to 16 bytes of UTF-8.</summary>
    public string Label { get; init; } = "";

    /// <summary>Random when null.</summary>
    public Guid? Uuid { get; init; }

    /// <summary>Owner of the root directory.</summary>
    public uint RootUserId { get; init; }

    public uint RootGroupId { get; init; }

    /// <summary>Percent of the blocks that only root may use, 0 to 50.</summary>
    public int ReservedPercent { get; init; } = 5;

    /// <summary>Feature has_journal; left out in any case where the filesystem is too small for one.</summary>
    public bool Journal { get; init; } = true;

    /// <summary>Feature metadata_csum_seed: the UUID can change without rewriting all checksums.</summary>
    public bool MetadataChecksumSeed { get; init; }

    /// <summary>Feature orphan_file.</summary>
    public bool OrphanFile { get; init; }

    /// <summary>The time that everything is stamped with; now when null.</summary>
    public UnixTime? Time { get; init; }
}
