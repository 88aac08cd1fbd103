using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using ArmAes = System.Runtime.Intrinsics.Arm.Aes;
using X86Aes = System.Runtime.Intrinsics.X86.Aes;

namespace VDiskCrypt.Crypto;

/// <summary>
/// AES key expansion (FIPS 197, section 5.2, and 5.3.5 for the equivalent inverse cipher) by the processor's AES
/// instructions: no table is indexed by key bytes, so the time does not depend on them.
/// </summary>
internal static class AesKeySchedule
{
    /// <summary>15 round keys of 16 bytes: enough for AES-256.</summary>
    public const int LargestByteCount = 15 * BlockByteSize;

    public const int BlockByteSize = 16;

    /// <summary>Whether this processor has AES instructions that the expansion can use.</summary>
    public static bool IsSupported => X86Aes.IsSupported || ArmAes.IsSupported;

    /// <summary>10, 12 or 14 for keys of 16, 24 and 32 bytes.</summary>
    public static int RoundCount(int keyByteCount) => (keyByteCount / 4) + 6;

    /// <summary>Round keys for encryption, in the order of use.</summary>
    public static void Expand(ReadOnlySpan<byte> key, Span<byte> encryption)
    {
        int keyWordCount = key.Length / 4;
        int wordCount = 4 * (RoundCount(key.Length) + 1);
        Span<uint> words = MemoryMarshal.Cast<byte, uint>(encryption)[..wordCount];
        key.CopyTo(encryption);
        uint roundConstant = 1;
        for (int i = keyWordCount; i < wordCount; i++)
        {
            uint word = words[i - 1];
            if (i % keyWordCount == 0)
            {
                word = SubstituteBytes(uint.RotateRight(word, 8)) ^ roundConstant;
                roundConstant = (roundConstant << 1) ^ (roundConstant >= 0x80 ? 0x11Bu : 0);
            }
            else if (keyWordCount > 6 && i % keyWordCount == 4)
            {
                word = SubstituteBytes(word);
            }

            words[i] = words[i - keyWordCount] ^ word;
        }
    }

    /// <summary>Round keys of the equivalent inverse cipher, in the order of use.</summary>
    public static void Invert(ReadOnlySpan<byte> encryption, Span<byte> decryption, int roundCount)
    {
        ReadOnlySpan<Vector128<byte>> from = MemoryMarshal.Cast<byte, Vector128<byte>>(encryption);
        Span<Vector128<byte>> to = MemoryMarshal.Cast<byte, Vector128<byte>>(decryption);
        to[0] = from[roundCount];
        for (int i = 1; i < roundCount; i++)
        {
            Vector128<byte> roundKey = from[roundCount - i];
            to[i] = X86Aes.IsSupported ? X86Aes.InverseMixColumns(roundKey) : ArmAes.InverseMixColumns(roundKey);
        }

        to[roundCount] = from[0];
    }

    /// <summary>The S-box on the four bytes of a word.</summary>
    private static uint SubstituteBytes(uint word)
    {
        Vector128<byte> columns = Vector128.Create(word).AsByte();
        // Four equal columns make the ShiftRows inside ARM's AESE change nothing.
        Vector128<byte> substituted = X86Aes.IsSupported
            ? X86Aes.KeygenAssist(columns, 0)
            : ArmAes.Encrypt(columns, Vector128<byte>.Zero);
        return substituted.AsUInt32().ToScalar();
    }
}
