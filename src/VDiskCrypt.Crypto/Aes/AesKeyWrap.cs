using System.Buffers.Binary;
using System.Security.Cryptography;

namespace VDiskCrypt.Crypto;

/// <summary>
/// AES key wrap without padding (RFC 3394; A128KW, A192KW and A256KW by the size of the key). Wraps multiples of 8
/// bytes, 16 at least; the wrapped form is 8 bytes longer and authenticated.
/// </summary>
public static class AesKeyWrap
{
    /// <summary>What wrapping adds.</summary>
    public const int OverheadByteCount = 8;

    /// <summary>The default initial value (RFC 3394, section 2.2.3.1).</summary>
    private const ulong InitialValue = 0xA6A6A6A6A6A6A6A6;

    private const int HalfByteCount = 8;
    private const int LeastByteCount = 16;
    private const int Passes = 6;

    /// <summary>Wraps <paramref name="plaintext"/> into <paramref name="wrapped"/>, which is 8 bytes longer.</summary>
    public static void Wrap(ReadOnlySpan<byte> keyEncryptionKey, ReadOnlySpan<byte> plaintext, Span<byte> wrapped)
    {
        RequireKey(keyEncryptionKey);
        RequireWrappable(plaintext.Length);
        ArgumentOutOfRangeException.ThrowIfNotEqual(wrapped.Length, plaintext.Length + OverheadByteCount, nameof(wrapped));
        using var cipher = new AesBlockCipher(keyEncryptionKey);
        plaintext.CopyTo(wrapped[HalfByteCount..]);
        Span<byte> block = stackalloc byte[2 * HalfByteCount];
        BinaryPrimitives.WriteUInt64BigEndian(block, InitialValue);
        ulong step = 0;
        for (int pass = 0; pass < Passes; pass++)
        {
            for (int at = HalfByteCount; at < wrapped.Length; at += HalfByteCount)
            {
                wrapped.Slice(at, HalfByteCount).CopyTo(block[HalfByteCount..]);
                cipher.EncryptBlock(block);
                step++;
                BinaryPrimitives.WriteUInt64BigEndian(block, BinaryPrimitives.ReadUInt64BigEndian(block) ^ step);
                block[HalfByteCount..].CopyTo(wrapped[at..]);
            }
        }

        block[..HalfByteCount].CopyTo(wrapped);
        CryptographicOperations.ZeroMemory(block);
    }

    /// <summary>
    /// Unwraps into <paramref name="plaintext"/>, which is 8 bytes shorter. False, with the plaintext cleared, when the
    /// key is another one or the wrapped bytes are not whole.
    /// </summary>
    public static bool TryUnwrap(ReadOnlySpan<byte> keyEncryptionKey, ReadOnlySpan<byte> wrapped, Span<byte> plaintext)
    {
        RequireKey(keyEncryptionKey);
        RequireWrappable(wrapped.Length - OverheadByteCount);
        ArgumentOutOfRangeException.ThrowIfNotEqual(plaintext.Length, wrapped.Length - OverheadByteCount, nameof(plaintext));
        using var cipher = new AesBlockCipher(keyEncryptionKey);
        wrapped[HalfByteCount..].CopyTo(plaintext);
        Span<byte> block = stackalloc byte[2 * HalfByteCount];
        wrapped[..HalfByteCount].CopyTo(block);
        ulong step = (ulong)(Passes * (plaintext.Length / HalfByteCount));
        for (int pass = 0; pass < Passes; pass++)
        {
            for (int at = plaintext.Length - HalfByteCount; at >= 0; at -= HalfByteCount)
            {
                BinaryPrimitives.WriteUInt64BigEndian(block, BinaryPrimitives.ReadUInt64BigEndian(block) ^ step);
                step--;
                plaintext.Slice(at, HalfByteCount).CopyTo(block[HalfByteCount..]);
                cipher.DecryptBlock(block);
                block[HalfByteCount..].CopyTo(plaintext[at..]);
            }
        }

        Span<byte> expected = stackalloc byte[HalfByteCount];
        BinaryPrimitives.WriteUInt64BigEndian(expected, InitialValue);
        bool whole = CryptographicOperations.FixedTimeEquals(block[..HalfByteCount], expected);
        CryptographicOperations.ZeroMemory(block);
        if (!whole)
        {
            CryptographicOperations.ZeroMemory(plaintext);
        }

        return whole;
    }

    private static void RequireKey(ReadOnlySpan<byte> key)
    {
        if (key.Length is not (16 or 24 or 32))
        {
            throw new ArgumentOutOfRangeException(nameof(key), "AES keys have 16, 24 or 32 bytes");
        }
    }

    private static void RequireWrappable(int byteCount)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(byteCount, LeastByteCount);
        ArgumentOutOfRangeException.ThrowIfNotEqual(byteCount % HalfByteCount, 0, nameof(byteCount));
    }
}
