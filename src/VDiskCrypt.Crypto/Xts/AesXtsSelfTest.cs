namespace VDiskCrypt.Crypto;

/// <summary>
/// Compares a kernel with another one before it touches a user's data: both key sizes, both directions, unit counts and
/// block counts around the widths that kernels work in.
/// </summary>
internal static unsafe class AesXtsSelfTest
{
    private const int LargestByteCount = 20 * 512;

    public static bool Agrees(AesXtsKernel kernel, AesXtsKernel reference)
    {
        if (ReferenceEquals(kernel, reference))
        {
            return true;
        }

        var key = new byte[64];
        for (int i = 0; i < key.Length; i++)
        {
            key[i] = (byte)((i * 89) + 7);
        }

        return AgreesWithKey(kernel, reference, key) && AgreesWithKey(kernel, reference, key.AsSpan(16, 32));
    }

    private static bool AgreesWithKey(AesXtsKernel kernel, AesXtsKernel reference, ReadOnlySpan<byte> key)
    {
        using AesXtsTransform tested = kernel.Create(key);
        using AesXtsTransform trusted = reference.Create(key);
        var source = new byte[LargestByteCount];
        for (int i = 0; i < source.Length; i++)
        {
            source[i] = (byte)(i ^ (i >> 8));
        }

        bool agrees = true;
        foreach (bool encrypt in (ReadOnlySpan<bool>)[true, false])
        {
            foreach (nuint units in (ReadOnlySpan<nuint>)[1, 2, 7, 8, 9, 17])
            {
                agrees &= SameUnits(tested, trusted, encrypt, source, units);
            }

            for (nuint blocks = 1; blocks <= 40; blocks++)
            {
                agrees &= SameBlocks(tested, trusted, encrypt, source, blocks);
            }
        }

        return agrees;
    }

    private static bool SameUnits(
        AesXtsTransform tested, AesXtsTransform trusted, bool encrypt, byte[] source, nuint units)
    {
        var one = new byte[LargestByteCount];
        var other = new byte[LargestByteCount];
        fixed (byte* from = source, first = one, second = other)
        {
            tested.TransformUnits(encrypt, ulong.MaxValue - 20, 8, 512, from, first, units);
            trusted.TransformUnits(encrypt, ulong.MaxValue - 20, 8, 512, from, second, units);
        }

        return one.AsSpan().SequenceEqual(other);
    }

    private static bool SameBlocks(
        AesXtsTransform tested, AesXtsTransform trusted, bool encrypt, byte[] source, nuint blocks)
    {
        var one = new byte[LargestByteCount];
        var other = new byte[LargestByteCount];
        var unitNumber = new UInt128(0x0123456789ABCDEF, 0xFEDCBA9876543210);
        fixed (byte* from = source, first = one, second = other)
        {
            tested.TransformBlocks(encrypt, unitNumber, (int)blocks * 5, from, first, blocks);
            trusted.TransformBlocks(encrypt, unitNumber, (int)blocks * 5, from, second, blocks);
        }

        return one.AsSpan().SequenceEqual(other);
    }
}
