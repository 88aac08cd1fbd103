using VDiskCrypt.Core;

namespace VDiskCrypt.Images.Vhd;

/// <summary>Making VHD images, and opening one of whatever type.</summary>
internal static class VhdFile
{
    /// <summary>The block size that the specification names as usual.</summary>
    private const int BlockByteSize = 2 << 20;

    private const int SectorByteSize = 512;

    /// <summary>
    /// Writes a fixed image into the empty <paramref name="file"/>: the disk (sparse where the host can), then the footer.
    /// </summary>
    public static void CreateFixed(IHostFile file, long diskByteSize)
    {
        CheckSize(diskByteSize, long.MaxValue - SectorByteSize);
        file.SetLength(diskByteSize);
        file.Write(diskByteSize, VhdFooter.Create(VhdType.Fixed, diskByteSize, VhdFooter.NoOffset));
        file.Flush();
    }

    /// <summary>Writes an empty dynamic image into the empty <paramref name="file"/>.</summary>
    public static void CreateDynamic(IHostFile file, long diskByteSize)
    {
        CheckSize(diskByteSize, VhdFooter.LargestDynamicDiskByteSize);
        byte[] footer = VhdFooter.Create(VhdType.Dynamic, diskByteSize, VhdFooter.ByteSize);
        int entryCount = (int)((diskByteSize + BlockByteSize - 1) / BlockByteSize);
        const long TableOffset = VhdFooter.ByteSize + VhdDynamicHeader.ByteSize;
        byte[] table = new byte[((long)entryCount * sizeof(uint) + SectorByteSize - 1) / SectorByteSize * SectorByteSize];
        table.AsSpan().Fill(0xFF);
        file.Write(0, footer);
        file.Write(VhdFooter.ByteSize, VhdDynamicHeader.Create(TableOffset, entryCount, BlockByteSize));
        file.Write(TableOffset, table);
        file.Write(TableOffset + table.Length, footer);
        file.Flush();
    }

    /// <summary>Null where the file holds no VHD.</summary>
    public static IBlockDevice? TryOpen(IHostFile file, List<string> notices, out bool isFixed)
    {
        VhdFooterPair? footers = VhdFooterPair.TryRead(file, notices);
        isFixed = footers?.Footer.Type == VhdType.Fixed;
        if (footers is null)
        {
            return null;
        }

        VhdFooter footer = footers.Footer;
        if (footer.Version >> 16 != 1)
        {
            throw VDiskException.Unsupported("VHD footer", $"version {footer.Version >> 16}.{footer.Version & 0xFFFF}");
        }

        if (footer.HasSavedState)
        {
            notices.Add("a saved state of a virtual machine belongs to the VHD; writing makes the two disagree");
        }

        return footer.Type switch
        {
            VhdType.Fixed => OpenFixed(file, footers),
            VhdType.Dynamic or VhdType.Differencing => VhdDynamicImage.Open(file, footers, notices),
            _ => throw VDiskException.Unsupported("VHD footer", $"disk type {(uint)footer.Type}"),
        };
    }

    private static RawImage OpenFixed(IHostFile file, VhdFooterPair footers)
    {
        ulong diskByteSize = footers.Footer.DiskByteSize;
        long room = file.ByteLength - footers.TrailingByteSize;
        if (diskByteSize == 0 || diskByteSize % SectorByteSize != 0 || diskByteSize > (ulong)room)
        {
            throw VDiskException.Damaged(
                "VHD footer", room,
                $"a disk of {diskByteSize} bytes in {room} bytes of file: the size is wrong or the image was cut off");
        }

        return new RawImage(file, (long)diskByteSize, SectorByteSize);
    }

    private static void CheckSize(long diskByteSize, long largest)
    {
        if (diskByteSize <= 0 || diskByteSize % SectorByteSize != 0 || diskByteSize > largest)
        {
            throw new VDiskException(
                FailureKind.Usage,
                $"a VHD of {diskByteSize} bytes cannot be: a multiple of 512 up to {largest} is needed",
                null, "a larger disk fits a VHDX");
        }
    }
}
