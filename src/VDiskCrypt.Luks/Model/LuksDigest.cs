using VDiskCrypt.Crypto;

namespace VDiskCrypt.Luks;

/// <summary>Verifies a volume key and ties keyslots to segments (section 3.4).</summary>
public sealed record LuksDigest
{
    public required int Number { get; init; }

    /// <summary>"pbkdf2"; others are kept and verify nothing.</summary>
    public required string Type { get; init; }

    public required IReadOnlyList<int> Keyslots { get; init; }

    public required IReadOnlyList<int> Segments { get; init; }

    /// <summary>Null where this program cannot compute it.</summary>
    public required KdfHash? Hash { get; init; }

    public required int Iterations { get; init; }

    internal byte[] Salt { get; init; } = [];

    internal byte[] Value { get; init; } = [];
}
