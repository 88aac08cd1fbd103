namespace VDiskCrypt.Crypto;

/// <summary>
/// Tweak arithmetic in GF(2^128) modulo x^128 + x^7 + x^2 + x + 1, little-endian (IEEE 1619-2018, section 5.2), in
/// constant time.
/// </summary>
internal static class XtsTweak
{
    /// <summary>A power up to this keeps the folded carry inside 128 bits: 121 + 7.</summary>
    private const int LargestStep = 121;

    /// <summary>The low terms of the modulus: x^7 + x^2 + x + 1.</summary>
    public const ulong Modulus = 0x87;

    /// <summary><paramref name="tweak"/> times x.</summary>
    public static UInt128 Double(UInt128 tweak)
    {
        ulong carry = (ulong)(tweak >> 127);
        return (tweak << 1) ^ (Modulus & (0 - carry));
    }

    /// <summary><paramref name="tweak"/> times x to the <paramref name="power"/>.</summary>
    public static UInt128 MultiplyByPower(UInt128 tweak, int power)
    {
        while (power > 0)
        {
            int step = Math.Min(power, LargestStep);
            UInt128 carry = tweak >> (128 - step);
            tweak = (tweak << step) ^ carry ^ (carry << 1) ^ (carry << 2) ^ (carry << 7);
            power -= step;
        }

        return tweak;
    }
}
