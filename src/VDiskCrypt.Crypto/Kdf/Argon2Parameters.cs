namespace VDiskCrypt.Crypto;

/// <summary>Which Argon2.</summary>
public enum Argon2Variant
{
    Argon2i,
    Argon2id,
}

/// <summary>The costs of Argon2 (RFC 9106, section 3.1).</summary>
/// <param name="Variant">Argon2id for everything new.</param>
/// <param name="Passes">Time cost t.</param>
/// <param name="MemoryKiB">Memory cost m, in KiB.</param>
/// <param name="Lanes">Parallelism p.</param>
public readonly record struct Argon2Parameters(Argon2Variant Variant, int Passes, int MemoryKiB, int Lanes)
{
    /// <summary>4 GiB, cryptsetup's own limit.</summary>
    public const int MostMemoryKiB = 4 << 20;

    public const int MostLanes = 16;

    /// <summary>Passes times KiB: about a minute on a slow machine, so that a hostile header cannot ask for hours.</summary>
    public const long MostWork = 1L << 28;

    /// <summary>8 blocks of 1 KiB for each lane (RFC 9106, section 3.1).</summary>
    public const int LeastKiBPerLane = 8;

    /// <summary>Why these costs cannot be used, or null.</summary>
    public string? Objection
    {
        get
        {
            if (Passes < 1)
            {
                return $"a time cost of {Passes}; at least 1 is needed";
            }

            if (Lanes is < 1 or > MostLanes)
            {
                return $"{Lanes} lanes; 1 to {MostLanes} are supported";
            }

            if (MemoryKiB < LeastKiBPerLane * Lanes || MemoryKiB > MostMemoryKiB)
            {
                return $"a memory cost of {MemoryKiB} KiB; {LeastKiBPerLane * Lanes} to {MostMemoryKiB} KiB are supported";
            }

            return (long)Passes * MemoryKiB > MostWork
                ? $"{Passes} passes over {MemoryKiB} KiB, which would take too long"
                : null;
        }
    }
}
