using System.Security.Cryptography;

namespace VDiskCrypt.Crypto;

/// <summary>The hash functions that PBKDF2, digests and the anti-forensic splitter can use.</summary>
public enum KdfHash
{
    /// <summary>For opening what others made; never chosen for something new.</summary>
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

internal static class KdfHashExtensions
{
    /// <summary>The longest output of all.</summary>
    public const int LargestByteCount = 64;

    public static HashAlgorithmName Algorithm(this KdfHash hash) => hash switch
    {
        KdfHash.Sha1 => HashAlgorithmName.SHA1,
        KdfHash.Sha256 => HashAlgorithmName.SHA256,
        KdfHash.Sha384 => HashAlgorithmName.SHA384,
        KdfHash.Sha512 => HashAlgorithmName.SHA512,
        _ => throw new ArgumentOutOfRangeException(nameof(hash)),
    };

    public static int OutputByteCount(this KdfHash hash) => hash switch
    {
        KdfHash.Sha1 => 20,
        KdfHash.Sha256 => 32,
        KdfHash.Sha384 => 48,
        KdfHash.Sha512 => 64,
        _ => throw new ArgumentOutOfRangeException(nameof(hash)),
    };
}
