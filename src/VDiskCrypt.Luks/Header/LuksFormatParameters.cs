using VDiskCrypt.Crypto;

namespace VDiskCrypt.Luks;

/// <summary>What a new volume is made with; the defaults are cryptsetup's, with sectors of 4096 bytes.</summary>
public sealed record LuksFormatParameters
{
    /// <summary>512, 1024, 2048 or 4096.</summary>
    public int SectorByteSize { get; init; } = 4096;

    /// <summary>Random when null.</summary>
    public Guid? Uuid { get; init; }

    /// <summary>Up to 47 bytes of UTF-8.</summary>
    public string Label { get; init; } = "";

    /// <summary>A second label, for the owner.</summary>
    public string Subsystem { get; init; } = "";

    /// <summary>Bytes of one header copy: a power of two from 16 KiB to 4 MiB.</summary>
    public int HeaderByteSize { get; init; } = Luks2Layout.SmallestHeaderByteSize;

    /// <summary>Where the data begins on the data device; 0 for a device that the header is not on.</summary>
    public long DataByteOffset { get; init; } = Luks2Layout.DefaultDataByteOffset;

    public bool AllowDiscards { get; init; }

    /// <summary>PBKDF2 iterations of the digest; the volume key is random, so the least will do.</summary>
    public int DigestIterations { get; init; } = Pbkdf2.LeastIterations;

    /// <summary>
    /// Fill the keyslots area with random bytes, as cryptsetup does: old key material goes. Not needed on an image that
    /// was created for this volume, where it would only take room.
    /// </summary>
    public bool OverwriteKeyslotsArea { get; init; } = true;
}
