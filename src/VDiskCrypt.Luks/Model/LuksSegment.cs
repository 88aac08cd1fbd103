namespace VDiskCrypt.Luks;

/// <summary>A range of the data device and how it is encrypted (section 3.3).</summary>
public sealed record LuksSegment
{
    public required int Number { get; init; }

    /// <summary>"crypt" for encrypted data, "linear" for plain data during a re-encryption.</summary>
    public required string Type { get; init; }

    /// <summary>Where it begins on the data device.</summary>
    public required long ByteOffset { get; init; }

    /// <summary>Null for "dynamic": up to the end of the device.</summary>
    public required long? ByteLength { get; init; }

    /// <summary>Added to the tweak, in units of 512 bytes.</summary>
    public required ulong TweakOffset { get; init; }

    /// <summary>For example aes-xts-plain64; empty for a type other than "crypt".</summary>
    public required string Encryption { get; init; }

    /// <summary>Bytes of an encryption sector; 0 for a type other than "crypt".</summary>
    public required int SectorByteSize { get; init; }

    /// <summary>Whether dm-integrity lies below, which this program does not have.</summary>
    public required bool HasIntegrity { get; init; }

    public required IReadOnlyList<string> Flags { get; init; }

    /// <summary>A leftover of a re-encryption that holds no data of its own.</summary>
    public bool IsBackup => Flags.Any(flag => flag.StartsWith("backup-", StringComparison.Ordinal));
}
