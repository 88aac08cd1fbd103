using System.Numerics;
using System.Runtime.InteropServices;

namespace VDiskCrypt.Ext4.Allocation;

/// <summary>Searches in and changes of bitmaps of used things: bit n is bit n % 8 of byte n / 8.</summary>
internal static class Bitmap
{
    public static bool IsSet(ReadOnlySpan<byte> bitmap, uint bit) => (bitmap[(int)(bit >> 3)] >> (int)(bit & 7) & 1) != 0;

    /// <summary>Sets bits; false when one of them was set already (nothing is undone).</summary>
    public static bool Set(Span<byte> bitmap, uint first, uint count)
    {
        bool wereClear = true;
        for (uint bit = first, end = first + count; bit < end;)
        {
            if ((bit & 7) == 0 && end - bit >= 8)
            {
                ref byte whole = ref bitmap[(int)(bit >> 3)];
                wereClear &= whole == 0;
                whole = 0xFF;
                bit += 8;
                continue;
            }

            ref byte part = ref bitmap[(int)(bit >> 3)];
            var mask = (byte)(1 << (int)(bit & 7));
            wereClear &= (part & mask) == 0;
            part |= mask;
            bit++;
        }

        return wereClear;
    }

    /// <summary>Clears bits; false when one of them was clear already (nothing is undone).</summary>
    public static bool Clear(Span<byte> bitmap, uint first, uint count)
    {
        bool wereSet = true;
        for (uint bit = first, end = first + count; bit < end;)
        {
            if ((bit & 7) == 0 && end - bit >= 8)
            {
                ref byte whole = ref bitmap[(int)(bit >> 3)];
                wereSet &= whole == 0xFF;
                whole = 0;
                bit += 8;
                continue;
            }

            ref byte part = ref bitmap[(int)(bit >> 3)];
            var mask = (byte)(1 << (int)(bit & 7));
            wereSet &= (part & mask) != 0;
            part &= (byte)~mask;
            bit++;
        }

        return wereSet;
    }

    /// <summary>Whether all bits of a range are set.</summary>
    public static bool AllSet(ReadOnlySpan<byte> bitmap, uint first, uint count)
    {
        for (uint bit = first, end = first + count; bit < end;)
        {
            if ((bit & 7) == 0 && end - bit >= 8)
            {
                if (bitmap[(int)(bit >> 3)] != 0xFF)
                {
                    return false;
                }

                bit += 8;
                continue;
            }

            if (!IsSet(bitmap, bit))
            {
                return false;
            }

            bit++;
        }

        return true;
    }

    public static uint CountSet(ReadOnlySpan<byte> bitmap, uint count)
    {
        uint set = 0;
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(bitmap[..(int)(count / 64 * 8)]);
        foreach (ulong word in words)
        {
            set += (uint)BitOperations.PopCount(word);
        }

        for (uint bit = count / 64 * 64; bit < count; bit++)
        {
            set += IsSet(bitmap, bit) ? 1u : 0;
        }

        return set;
    }

    /// <summary>The first clear bit from <paramref name="from"/> on; <paramref name="limit"/> when there is none.</summary>
    /// <param name="bitmap">The bitmap, a whole number of 8-byte words.</param>
    /// <param name="held">Bits that count as set too; empty for none.</param>
    public static uint NextClear(ReadOnlySpan<byte> bitmap, ReadOnlySpan<ulong> held, uint from, uint limit) =>
        Next(bitmap, held, from, limit, ulong.MaxValue);

    /// <summary>The first set bit from <paramref name="from"/> on; <paramref name="limit"/> when there is none.</summary>
    public static uint NextSet(ReadOnlySpan<byte> bitmap, ReadOnlySpan<ulong> held, uint from, uint limit) =>
        Next(bitmap, held, from, limit, 0);

    private static uint Next(ReadOnlySpan<byte> bitmap, ReadOnlySpan<ulong> held, uint from, uint limit, ulong invert)
    {
        if (from >= limit)
        {
            return limit;
        }

        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(bitmap);
        var index = (int)(from >> 6);
        ulong word = ((words[index] | (held.IsEmpty ? 0 : held[index])) ^ invert) & ulong.MaxValue << (int)(from & 63);
        var lastIndex = (int)(limit - 1 >> 6);
        while (word == 0)
        {
            if (++index > lastIndex)
            {
                return limit;
            }

            word = (words[index] | (held.IsEmpty ? 0 : held[index])) ^ invert;
        }

        return Math.Min((uint)index * 64 + (uint)BitOperations.TrailingZeroCount(word), limit);
    }
}
