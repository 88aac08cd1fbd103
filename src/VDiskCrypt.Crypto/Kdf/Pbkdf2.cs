using System.Diagnostics;
using System.Security.Cryptography;

namespace VDiskCrypt.Crypto;

/// <summary>PBKDF2 with HMAC (RFC 8018, section 5.2), by the platform's library.</summary>
public static class Pbkdf2
{
    /// <summary>What LUKS2 asks for at least; enough where the secret itself is random.</summary>
    public const int LeastIterations = 1000;

    /// <summary>About a minute of work on a slow machine: a hostile header cannot ask for hours.</summary>
    public const int MostIterations = 1 << 27;

    private const int ProbeIterations = 1 << 14;
    private const int ProbeEnoughMs = 50;

    /// <summary>Fills <paramref name="key"/>.</summary>
    public static void Derive(
        KdfHash hash, ReadOnlySpan<byte> password, ReadOnlySpan<byte> salt, int iterations, Span<byte> key)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(iterations);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(iterations, MostIterations);
        Rfc2898DeriveBytes.Pbkdf2(password, salt, key, iterations, hash.Algorithm());
    }

    /// <summary>How many iterations fill <paramref name="targetMs"/> on this machine for a key of this size.</summary>
    public static int MeasureIterations(KdfHash hash, int keyByteCount, int targetMs)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(targetMs);
        Span<byte> key = stackalloc byte[256];
        key = key[..Math.Min(keyByteCount, key.Length)];
        long iterations = ProbeIterations;
        while (true)
        {
            long start = Stopwatch.GetTimestamp();
            Derive(hash, "measure"u8, "salt of a measurement"u8, (int)iterations, key);
            double elapsedMs = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
            if (elapsedMs >= ProbeEnoughMs || iterations * 2 > MostIterations)
            {
                return (int)Math.Clamp(iterations * (targetMs / elapsedMs), LeastIterations, MostIterations);
            }

            iterations *= 2;
        }
    }
}
