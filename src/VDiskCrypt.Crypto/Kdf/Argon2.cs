using System.Diagnostics;
using VDiskCrypt.Core;
using VDiskCrypt.Interop.Argon2;

namespace VDiskCrypt.Crypto;

/// <summary>
/// Argon2i and Argon2id, version 0x13 (RFC 9106): by libargon2 where the host has it, by
/// Konscious.Security.Cryptography.Argon2 otherwise. The memory is checked against what the host and the control
/// groups leave before it is taken.
/// </summary>
public static class Argon2
{
    /// <summary>cryptsetup's default for new keyslots.</summary>
    public const int DefaultTargetMs = 2000;

    public const int DefaultMostMemoryKiB = 1 << 20;
    public const int DefaultMostLanes = 4;

    /// <summary>The least passes of a new keyslot, as cryptsetup has it.</summary>
    public const int LeastPasses = 4;

    private const int ProbeMemoryKiB = 32 << 10;

    /// <summary>Left for everything else when the memory is judged.</summary>
    private const long ReserveByteCount = 16L << 20;

    private static readonly Argon2Engine Native = new NativeArgon2Engine();

    private static readonly Argon2Engine Managed = new ManagedArgon2Engine();

    /// <summary>Whether libargon2 does the work.</summary>
    public static bool IsNative => Argon2Native.IsAvailable;

    /// <summary>Fills <paramref name="key"/>.</summary>
    /// <exception cref="VDiskException">Unsupported (costs out of range) or NoSpace (not enough memory).</exception>
    public static void Derive(
        in Argon2Parameters parameters, ReadOnlySpan<byte> password, ReadOnlySpan<byte> salt, Span<byte> key)
    {
        if (parameters.Objection is string objection)
        {
            throw VDiskException.Unsupported("Argon2 parameters", objection);
        }

        RequireMemory(parameters.MemoryKiB, AvailableMemory.Measure());
        Engine(IsNative).Derive(parameters, password, salt, secret: default, associatedData: default, key);
    }

    /// <summary>
    /// Costs for a new key that fill <paramref name="targetMs"/> on this machine: the memory grows first, up to
    /// <paramref name="mostMemoryKiB"/> and half of the machine's memory, then the passes.
    /// </summary>
    public static Argon2Parameters MeasureParameters(
        Argon2Variant variant = Argon2Variant.Argon2id, int targetMs = DefaultTargetMs,
        int mostMemoryKiB = DefaultMostMemoryKiB, int mostLanes = DefaultMostLanes)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(targetMs);
        int lanes = Math.Clamp(Math.Min(mostLanes, Environment.ProcessorCount), 1, Argon2Parameters.MostLanes);
        long halfKiB = Math.Min(AvailableMemory.Total(), AvailableMemory.Measure()) / 2 / 1024;
        int limitKiB = (int)Math.Clamp(
            Math.Min(mostMemoryKiB, halfKiB), Argon2Parameters.LeastKiBPerLane * lanes, Argon2Parameters.MostMemoryKiB);
        int memoryKiB = Math.Min(ProbeMemoryKiB, limitKiB);
        // The first run pays for loading and for fresh pages; the second is what an unlock costs.
        Measure(new Argon2Parameters(variant, 1, memoryKiB, lanes));
        double elapsedMs = Measure(new Argon2Parameters(variant, LeastPasses, memoryKiB, lanes));
        double msPerKiBPass = elapsedMs / ((double)memoryKiB * LeastPasses);
        double affordableKiB = targetMs / (msPerKiBPass * LeastPasses);
        memoryKiB = (int)Math.Clamp(affordableKiB, memoryKiB, limitKiB);
        double passes = targetMs / (msPerKiBPass * memoryKiB);
        return new Argon2Parameters(
            variant, (int)Math.Clamp(passes, LeastPasses, Argon2Parameters.MostWork / memoryKiB), memoryKiB, lanes);
    }

    internal static Argon2Engine Engine(bool native) => native ? Native : Managed;

    internal static void RequireMemory(int memoryKiB, long availableByteCount)
    {
        long needed = (memoryKiB * 1024L) + ReserveByteCount;
        if (needed > availableByteCount)
        {
            throw new VDiskException(
                FailureKind.NoSpace,
                $"the key derivation needs {memoryKiB / 1024} MiB of memory, and {availableByteCount >> 20} MiB are available",
                "memory of the host or its control group",
                "give the process more memory, or use a keyslot with a smaller memory cost");
        }
    }

    private static double Measure(in Argon2Parameters parameters)
    {
        Span<byte> key = stackalloc byte[64];
        long start = Stopwatch.GetTimestamp();
        Derive(parameters, "measure"u8, "salt of a measurement"u8, key);
        return Math.Max(Stopwatch.GetElapsedTime(start).TotalMilliseconds, 0.01);
    }
}
