namespace VDiskCrypt.Images;

/// <summary>How a new image is made, where the defaults do not suit.</summary>
public sealed record ImageCreateOptions
{
    /// <summary>VHDX only: the size of a block, a power of two from 1 MiB to 256 MiB; 0 chooses.</summary>
    public int BlockByteSize { get; init; }

    /// <summary>VHDX only: the logical sector size, 512 or 4096.</summary>
    public int SectorByteSize { get; init; } = 512;

    /// <summary>The size is rounded up to whole MiB, as Azure wants fixed VHDs.</summary>
    public bool RoundsToMebibytes { get; init; }

    /// <summary>Raw and fixed images take the host's space at once, where the host can.</summary>
    public bool AllocatesSpace { get; init; }
}
