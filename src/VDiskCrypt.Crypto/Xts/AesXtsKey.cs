using System.Security.Cryptography;
using VDiskCrypt.Core;

namespace VDiskCrypt.Crypto;

/// <summary>
/// What makes bytes an XTS-AES key (IEEE 1619-2018, section 5.1; FIPS 140-3 IG C.I): 32 bytes (XTS-AES-128) or 64
/// (XTS-AES-256), a data half and a tweak half that differ.
/// </summary>
public static class AesXtsKey
{
    public static bool IsKeyByteCount(int byteCount) => byteCount is 32 or 64;

    /// <summary>A fresh random key.</summary>
    public static SecretMemory Generate(int byteCount)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(IsKeyByteCount(byteCount), true, nameof(byteCount));
        while (true)
        {
            SecretMemory key = SecretMemory.Random(byteCount);
            if (!HasEqualHalves(key.Span))
            {
                return key;
            }

            key.Dispose();
        }
    }

    /// <summary>Refuses a key of another size, and one whose halves are equal (compared in fixed time).</summary>
    /// <exception cref="VDiskException">Unsupported (size) or NotPermitted (equal halves).</exception>
    public static void Require(ReadOnlySpan<byte> key)
    {
        if (!IsKeyByteCount(key.Length))
        {
            throw VDiskException.Unsupported("AES-XTS key", $"a key of {key.Length} bytes; AES-XTS takes 32 or 64");
        }

        if (HasEqualHalves(key))
        {
            throw new VDiskException(
                FailureKind.NotPermitted, "the two halves of the AES-XTS key are equal, which makes the cipher weak",
                "AES-XTS key", "open the volume with cryptsetup and re-encrypt it with a new volume key");
        }
    }

    private static bool HasEqualHalves(ReadOnlySpan<byte> key) =>
        CryptographicOperations.FixedTimeEquals(key[..(key.Length / 2)], key[(key.Length / 2)..]);
}
