using System.Security.Cryptography;

namespace VDiskCrypt.Crypto;

/// <summary>HKDF with SHA-256 (RFC 5869): keys for further uses out of a key that is already random.</summary>
public static class HkdfSha256
{
    public static void Derive(
        ReadOnlySpan<byte> inputKey, ReadOnlySpan<byte> salt, ReadOnlySpan<byte> info, Span<byte> outputKey) =>
        HKDF.DeriveKey(HashAlgorithmName.SHA256, inputKey, outputKey, salt, info);
}
