using System.Globalization;
using VDiskCrypt.Core;

namespace VDiskCrypt.Cli;

/// <summary>Sizes on the command line: 512, 64K, 10M, 4G, 1T, 1P (powers of 1024), whole numbers only.</summary>
internal static class ByteSize
{
    private const string Units = "KMGTPE";

    /// <exception cref="VDiskException">Usage when it is no size, not positive, or beyond 2^63 - 1.</exception>
    public static long Parse(string text)
    {
        string digits = text.Trim();
        int shift = 0;
        if (digits.Length > 0 && Units.IndexOf(char.ToUpperInvariant(digits[^1]), StringComparison.Ordinal) is >= 0 and int unit)
        {
            shift = (unit + 1) * 10;
            digits = digits[..^1];
        }

        bool valid = long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out long count)
            && count > 0 && count <= long.MaxValue >> shift;
        return valid ? count << shift : throw new VDiskException(FailureKind.Usage, $"'{text}' is not a size", null,
            "write a whole number with K, M, G or T behind it, as in 10G");
    }

    /// <summary>For people: three significant places and a binary unit.</summary>
    public static string Format(long byteCount)
    {
        double value = byteCount;
        int unit = -1;
        while (value >= 1024 && unit < Units.Length - 1)
        {
            value /= 1024;
            unit++;
        }

        return unit < 0
            ? string.Create(CultureInfo.InvariantCulture, $"{byteCount} bytes")
            : string.Create(CultureInfo.InvariantCulture, $"{value:0.##} {Units[unit]}iB");
    }
}
