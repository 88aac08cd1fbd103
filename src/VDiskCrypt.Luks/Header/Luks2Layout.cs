namespace VDiskCrypt.Luks;

/// <summary>The numbers of the LUKS2 on-disk format, version 1.1.x (sections 2 and 3), and the limits that cryptsetup sets.</summary>
internal static class Luks2Layout
{
    public const int Version = 2;

    /// <summary>The binary header: 512 bytes that mean something, then zeros.</summary>
    public const int BinaryHeaderByteSize = 4096;

    public const int SmallestHeaderByteSize = 16 * 1024;
    public const int LargestHeaderByteSize = 4 * 1024 * 1024;

    /// <summary>Offsets and sizes of keyslot areas are multiples of this.</summary>
    public const int AreaAlignment = 4096;

    public const long LargestKeyslotsByteSize = 128L << 20;
    public const long DefaultDataByteOffset = 16L << 20;

    /// <summary>Objects of one kind, and their numbers end below it.</summary>
    public const int MostObjects = 32;

    public const int Stripes = 4000;
    public const int SaltByteCount = 32;

    /// <summary>Keyslot areas are encrypted in units of this size, whatever the volume's sector size.</summary>
    public const int AreaSectorByteSize = 512;

    /// <summary>The IV counts these at every sector size.</summary>
    public const int TweakUnitByteSize = 512;

    public const string AesXtsPlain64 = "aes-xts-plain64";

    public static ReadOnlySpan<byte> PrimaryMagic => [(byte)'L', (byte)'U', (byte)'K', (byte)'S', 0xBA, 0xBE];

    public static ReadOnlySpan<byte> SecondaryMagic => [(byte)'S', (byte)'K', (byte)'U', (byte)'L', 0xBA, 0xBE];

    /// <summary>A power of two from 16 KiB to 4 MiB (section 2.2, table of header sizes).</summary>
    public static bool IsHeaderByteSize(ulong byteSize) =>
        byteSize is >= SmallestHeaderByteSize and <= LargestHeaderByteSize && ulong.IsPow2(byteSize);

    public static bool IsSectorByteSize(long byteSize) => byteSize is 512 or 1024 or 2048 or 4096;

    /// <summary>A name of a cipher that leaves the data as it is.</summary>
    public static bool IsNullCipher(string encryption) =>
        encryption.Contains("cipher_null", StringComparison.OrdinalIgnoreCase)
        || encryption.StartsWith("null", StringComparison.OrdinalIgnoreCase);
}
