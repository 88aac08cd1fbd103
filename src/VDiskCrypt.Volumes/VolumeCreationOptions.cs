using VDiskCrypt.Core;
using VDiskCrypt.Keys;

namespace VDiskCrypt.Volumes;

/// <summary>What a new image holds.</summary>
public sealed record VolumeCreationOptions
{
    /// <summary>Absolute.</summary>
    public required string Path { get; init; }

    /// <summary>One of <see cref="VolumeCreation.Formats"/>.</summary>
    public required string Format { get; init; }

    /// <summary>Size of the virtual disk in bytes; rounded up to what the format can hold.</summary>
    public required long ByteCount { get; init; }

    public bool WithFileSystem { get; init; } = true;

    /// <summary>For the filesystem.</summary>
    public FileSystemFeatures FileSystemFeatures { get; init; }

    /// <summary>Of the filesystem and the LUKS2 header; up to 16 bytes of UTF-8.</summary>
    public string Label { get; init; } = "";

    /// <summary>512 or 4096.</summary>
    public int SectorByteCount { get; init; } = 4096;

    /// <summary>512 or 256.</summary>
    public int KeyBitCount { get; init; } = 512;

    /// <summary>Argon2id for passphrases and key files; otherwise PBKDF2.</summary>
    public bool UseArgon2 { get; init; } = true;

    /// <summary>What one unlock by passphrase may cost on this machine.</summary>
    public int IterationTimeMs { get; init; } = 2000;

    public IReadOnlyList<KekUri> Keks { get; init; } = [];

    /// <summary>Passphrases and key files, one keyslot each.</summary>
    public IReadOnlyList<SecretMemory> Secrets { get; init; } = [];

    public bool WithRecoveryKey { get; init; } = true;

    /// <summary>Null: a GPT in VHD and VHDX, none in raw images.</summary>
    public bool? WithPartition { get; init; }

    /// <summary>Owner of the root directory.</summary>
    public uint OwnerUserId { get; init; }

    public uint OwnerGroupId { get; init; }

    /// <summary>Where it is remembered that the volume has an authenticated header.</summary>
    public required string KnownVolumesFolder { get; init; }
}
