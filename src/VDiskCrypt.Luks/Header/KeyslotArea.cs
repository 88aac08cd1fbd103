using System.Security.Cryptography;
using VDiskCrypt.Core;
using VDiskCrypt.Crypto;

namespace VDiskCrypt.Luks;

/// <summary>
/// The bytes of a keyslot's area: the volume key in 4000 anti-forensic stripes, encrypted by aes-xts-plain64 in units of
/// 512 bytes that count from the start of the area.
/// </summary>
internal static class KeyslotArea
{
    /// <summary>Bytes of the encrypted stripes.</summary>
    public static int MaterialByteCount(int keyByteCount) =>
        RoundUp(keyByteCount * Luks2Layout.Stripes, Luks2Layout.AreaSectorByteSize);

    /// <summary>Bytes that the area takes on the device.</summary>
    public static int AreaByteCount(int keyByteCount) =>
        RoundUp(keyByteCount * Luks2Layout.Stripes, Luks2Layout.AreaAlignment);

    /// <summary>Splits and encrypts a volume key. The result is ciphertext.</summary>
    public static byte[] Encrypt(SecretMemory areaKey, KdfHash hash, SecretMemory volumeKey)
    {
        const int Unit = Luks2Layout.AreaSectorByteSize;
        int keyByteCount = volumeKey.ByteCount;
        var material = new byte[MaterialByteCount(keyByteCount)];
        using var cipher = new AesXtsCipher(areaKey);
        using var splitter = new AntiForensic(hash, keyByteCount);
        using var unit = new SecretMemory(Unit);
        int stripesPerUnit = Unit / keyByteCount;
        for (int stripe = 0, at = 0; at < material.Length; at += Unit)
        {
            Span<byte> plain = unit.Span;
            plain.Clear();
            for (int i = 0; i < stripesPerUnit && stripe < Luks2Layout.Stripes; i++, stripe++)
            {
                Span<byte> current = plain.Slice(i * keyByteCount, keyByteCount);
                if (stripe < Luks2Layout.Stripes - 1)
                {
                    RandomNumberGenerator.Fill(current);
                    splitter.Absorb(current);
                }
                else
                {
                    splitter.Finish(volumeKey.Span, current);
                }
            }

            cipher.Encrypt((ulong)(at / Unit), Unit, 1, plain, material.AsSpan(at, Unit));
        }

        return material;
    }

    /// <summary>Decrypts and merges; whether the key is the right one is for a digest to say.</summary>
    public static SecretMemory Decrypt(SecretMemory areaKey, KdfHash hash, ReadOnlySpan<byte> material, int keyByteCount)
    {
        const int Unit = Luks2Layout.AreaSectorByteSize;
        using var cipher = new AesXtsCipher(areaKey);
        using var splitter = new AntiForensic(hash, keyByteCount);
        using var unit = new SecretMemory(Unit);
        var volumeKey = new SecretMemory(keyByteCount);
        int stripesPerUnit = Unit / keyByteCount;
        for (int stripe = 0, at = 0; at < material.Length; at += Unit)
        {
            Span<byte> plain = unit.Span;
            cipher.Decrypt((ulong)(at / Unit), Unit, 1, material.Slice(at, Unit), plain);
            for (int i = 0; i < stripesPerUnit && stripe < Luks2Layout.Stripes; i++, stripe++)
            {
                ReadOnlySpan<byte> current = plain.Slice(i * keyByteCount, keyByteCount);
                if (stripe < Luks2Layout.Stripes - 1)
                {
                    splitter.Absorb(current);
                }
                else
                {
                    splitter.Finish(current, volumeKey.Span);
                }
            }
        }

        return volumeKey;
    }

    private static int RoundUp(int value, int unit) => (value + unit - 1) / unit * unit;
}
