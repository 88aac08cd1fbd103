using VDiskCrypt.Crypto;

namespace VDiskCrypt.Luks;

/// <summary>The names that LUKS2 gives to hash functions.</summary>
internal static class LuksNames
{
    public static KdfHash? FindHash(string name) => name switch
    {
        "sha1" => KdfHash.Sha1,
        "sha256" => KdfHash.Sha256,
        "sha384" => KdfHash.Sha384,
        "sha512" => KdfHash.Sha512,
        _ => null,
    };

    public static string Of(KdfHash hash) => hash switch
    {
        KdfHash.Sha1 => "sha1",
        KdfHash.Sha256 => "sha256",
        KdfHash.Sha384 => "sha384",
        KdfHash.Sha512 => "sha512",
        _ => throw new ArgumentOutOfRangeException(nameof(hash)),
    };
}
