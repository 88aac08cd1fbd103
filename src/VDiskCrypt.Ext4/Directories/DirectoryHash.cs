using System.Numerics;

namespace VDiskCrypt.Ext4.Directories;

/// <summary>
/// The hash of a name: a major part, whose low bit is always 0 and which orders an indexed directory, and a minor part.
/// Source: Linux Documentation/filesystems/ext4/directory.rst, "Hash Tree Directories". "Signed" and "unsigned" say how
/// the writer's machine widened a byte above 0x7F.
/// </summary>
internal readonly record struct DirectoryHash(uint Major, uint Minor)
{
    /// <summary>The major hash that readdir uses as its end: a name never has it.</summary>
    private const uint EndOfDirectory = 0xFFFFFFFE;

    /// <summary>The constants of MD4's second and third round: the square roots of 2 and 3 times 2^30.</summary>
    private const uint SecondRound = 0x5A827999;

    private const uint ThirdRound = 0x6ED9EBA1;
    private const uint TeaDelta = 0x9E3779B9;
    private const int TeaCycles = 16;

    /// <param name="kind">Which function.</param>
    /// <param name="seed">s_hash_seed as four words; all zero stands for MD4's initial state.</param>
    /// <param name="name">The name as stored.</param>
    public static DirectoryHash Of(DirectoryHashKind kind, ReadOnlySpan<uint> seed, ReadOnlySpan<byte> name)
    {
        bool isUnsigned = kind >= DirectoryHashKind.LegacyUnsigned;
        if (kind is DirectoryHashKind.Legacy or DirectoryHashKind.LegacyUnsigned)
        {
            return Create(Legacy(name, isUnsigned), 0);
        }

        Span<uint> state = [0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476];
        if (seed.ContainsAnyExcept(0u))
        {
            seed.CopyTo(state);
        }

        bool isTea = kind is DirectoryHashKind.Tea or DirectoryHashKind.TeaUnsigned;
        Span<uint> words = stackalloc uint[isTea ? 4 : 8];
        for (int offset = 0; offset < name.Length; offset += words.Length * sizeof(uint))
        {
            Pack(name[offset..], words, isUnsigned);
            if (isTea)
            {
                TransformTea(state, words);
            }
            else
            {
                TransformHalfMd4(state, words);
            }
        }

        return isTea ? Create(state[0], state[1]) : Create(state[1], state[2]);
    }

    private static DirectoryHash Create(uint major, uint minor)
    {
        major &= ~1u;
        return new DirectoryHash(major == EndOfDirectory ? EndOfDirectory - 2 : major, minor);
    }

    private static uint Widen(byte value, bool isUnsigned) => isUnsigned ? value : (uint)(sbyte)value;

    private static uint Legacy(ReadOnlySpan<byte> name, bool isUnsigned)
    {
        uint last = 0x12A3FE2D;
        uint beforeLast = 0x37ABE8F9;
        foreach (byte value in name)
        {
            uint next = beforeLast + (last ^ Widen(value, isUnsigned) * 7152373);
            next -= (next & 0x80000000) != 0 ? 0x7FFFFFFFu : 0;
            beforeLast = last;
            last = next;
        }

        return last << 1;
    }

    /// <summary>Four bytes a word, big end first; what the name leaves free is filled with its remaining length.</summary>
    private static void Pack(ReadOnlySpan<byte> name, Span<uint> words, bool isUnsigned)
    {
        uint padding = (uint)name.Length | (uint)name.Length << 8;
        padding |= padding << 16;
        for (int i = 0; i < words.Length; i++)
        {
            uint word = padding;
            int end = Math.Min(name.Length, i * 4 + 4);
            for (int k = i * 4; k < end; k++)
            {
                word = Widen(name[k], isUnsigned) + (word << 8);
            }

            words[i] = word;
        }
    }

    private static void TransformTea(Span<uint> state, ReadOnlySpan<uint> key)
    {
        uint sum = 0;
        uint left = state[0];
        uint right = state[1];
        for (int i = 0; i < TeaCycles; i++)
        {
            sum += TeaDelta;
            left += ((right << 4) + key[0]) ^ (right + sum) ^ ((right >> 5) + key[1]);
            right += ((left << 4) + key[2]) ^ (left + sum) ^ ((left >> 5) + key[3]);
        }

        state[0] += left;
        state[1] += right;
    }

    /// <summary>MD4 with 8 instead of 16 steps a round.</summary>
    private static void TransformHalfMd4(Span<uint> state, ReadOnlySpan<uint> words)
    {
        ReadOnlySpan<byte> order = [0, 1, 2, 3, 4, 5, 6, 7, 1, 3, 5, 7, 0, 2, 4, 6, 3, 7, 2, 6, 1, 5, 0, 4];
        ReadOnlySpan<byte> shifts = [3, 7, 11, 19, 3, 5, 9, 13, 3, 9, 11, 15];
        uint a = state[0];
        uint b = state[1];
        uint c = state[2];
        uint d = state[3];
        for (int step = 0; step < order.Length; step++)
        {
            uint mixed = step switch
            {
                < 8 => d ^ (b & (c ^ d)),
                < 16 => (b & c) + ((b ^ c) & d) + SecondRound,
                _ => (b ^ c ^ d) + ThirdRound,
            };
            uint turned = BitOperations.RotateLeft(a + mixed + words[order[step]], shifts[step / 8 * 4 + step % 4]);
            a = d;
            d = c;
            c = b;
            b = turned;
        }

        state[0] += a;
        state[1] += b;
        state[2] += c;
        state[3] += d;
    }
}
