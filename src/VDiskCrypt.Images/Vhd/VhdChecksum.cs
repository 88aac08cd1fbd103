namespace VDiskCrypt.Images.Vhd;

/// <summary>The one's complement of the sum of all bytes but the checksum's own four ([VHD] "Checksum", footer and header).</summary>
internal static class VhdChecksum
{
    public static uint Compute(ReadOnlySpan<byte> structure, int checksumOffset)
    {
        uint sum = 0;
        foreach (byte value in structure)
        {
            sum += value;
        }

        foreach (byte value in structure.Slice(checksumOffset, sizeof(uint)))
        {
            sum -= value;
        }

        return ~sum;
    }
}
