using VDiskCrypt.Crypto;

namespace VDiskCrypt.Luks;

/// <summary>In which order keyslots are tried (section 3.2).</summary>
public enum LuksKeyslotPriority
{
    /// <summary>Only when asked for by its number.</summary>
    Ignore = 0,
    Normal = 1,
    Prefer = 2,
}

/// <summary>A keyslot: an encrypted copy of a volume key (section 3.2).</summary>
public sealed record LuksKeyslot
{
    public required int Number { get; init; }

    /// <summary>"luks2"; others ("reencrypt") are kept and never opened.</summary>
    public required string Type { get; init; }

    /// <summary>Bytes of the volume key inside.</summary>
    public required int KeyByteCount { get; init; }

    public required LuksKeyslotPriority Priority { get; init; }

    public required long AreaByteOffset { get; init; }

    public required long AreaByteLength { get; init; }

    /// <summary>The cipher of the area; empty for a type other than "luks2".</summary>
    public required string AreaEncryption { get; init; }

    /// <summary>Bytes of the area's key.</summary>
    public required int AreaKeyByteCount { get; init; }

    /// <summary>Null where <see cref="UnsupportedReason"/> says so.</summary>
    public required LuksKdf? Kdf { get; init; }

    /// <summary>Hash of the anti-forensic splitter.</summary>
    public required KdfHash? SplitterHash { get; init; }

    /// <summary>Why this program cannot open it, or null. It is kept on every rewrite.</summary>
    public required string? UnsupportedReason { get; init; }

    internal byte[] Salt { get; init; } = [];
}
