namespace VDiskCrypt.Images.Vhd;

/// <summary>Cylinders, heads and sectors per track of a disk, as [VHD] "Appendix: CHS Calculation" computes them.</summary>
internal readonly record struct VhdGeometry(ushort Cylinders, byte Heads, byte SectorsPerTrack)
{
    private const long LargestSectorCount = 65535L * 16 * 255;
    private const int CylinderLimit = 1024;

    public static VhdGeometry ForSize(long diskByteSize)
    {
        long sectorCount = Math.Min(diskByteSize / 512, LargestSectorCount);
        if (sectorCount >= 65535L * 16 * 63)
        {
            return Make(sectorCount, 16, 255);
        }

        long tracks = sectorCount / 17;
        long heads = Math.Max((tracks + CylinderLimit - 1) / CylinderLimit, 4);
        if (heads <= 16 && tracks < heads * CylinderLimit)
        {
            return Make(sectorCount, (byte)heads, 17);
        }

        return sectorCount / 31 < 16 * CylinderLimit ? Make(sectorCount, 16, 31) : Make(sectorCount, 16, 63);
    }

    private static VhdGeometry Make(long sectorCount, byte heads, byte sectorsPerTrack) =>
        new((ushort)(sectorCount / sectorsPerTrack / heads), heads, sectorsPerTrack);
}
