using VDiskCrypt.Core;

namespace VDiskCrypt.Images;

/// <summary>
/// The partitions of a disk: a GPT ([UEFI] 2.10, 5.3), read from either copy and written, or an MBR, read only. Every
/// partition is checked to lie inside the disk and clear of the others.
/// </summary>
public sealed class PartitionTable
{
    /// <summary>The GPT partition type of LUKS volumes; sgdisk calls it 8309.</summary>
    public static readonly Guid LuksTypeId = new("CA7D7CCB-63ED-4C53-861C-1742536059CC");

    internal PartitionTable(
        PartitionScheme scheme, Guid diskId, int sectorByteSize, IReadOnlyList<Partition> partitions, IReadOnlyList<string> notices)
    {
        Scheme = scheme;
        DiskId = diskId;
        SectorByteSize = sectorByteSize;
        Partitions = partitions;
        Notices = notices;
    }

    public PartitionScheme Scheme { get; }

    /// <summary>The disk's GUID in a GPT; empty in an MBR.</summary>
    public Guid DiskId { get; }

    /// <summary>The unit that the table counts in: 512 or 4096 bytes.</summary>
    public int SectorByteSize { get; }

    /// <summary>By number.</summary>
    public IReadOnlyList<Partition> Partitions { get; }

    /// <summary>What was found damaged and could be got over.</summary>
    public IReadOnlyList<string> Notices { get; }

    /// <summary>The table of the disk; null where it has none.</summary>
    /// <exception cref="VDiskException">Damaged, where there is a table that makes no sense.</exception>
    public static PartitionTable? TryRead(IBlockDevice device)
    {
        int ownSectorByteSize = device.BlockByteSize == 4096 ? 4096 : 512;
        if (device.ByteLength < 4096)
        {
            return null;
        }

        byte[] first = new byte[4096];
        device.Read(0, first);
        MbrReader.Verdict verdict = MbrReader.Look(first);
        if (verdict is MbrReader.Verdict.Protective or MbrReader.Verdict.NoBootRecord)
        {
            // An image may have been made with the other sector size, where a table of that size lies elsewhere.
            foreach (int sectorByteSize in (ReadOnlySpan<int>)[ownSectorByteSize, 512 + 4096 - ownSectorByteSize])
            {
                if (TryReadGpt(device, sectorByteSize, verdict) is PartitionTable table)
                {
                    return table;
                }
            }
        }

        return verdict switch
        {
            MbrReader.Verdict.Partitions => MbrReader.Read(device, ownSectorByteSize, first),
            MbrReader.Verdict.Protective => throw VDiskException.Damaged(
                "GPT header", ownSectorByteSize, "the MBR announces a GPT, and neither copy of it is there",
                "the image was cut off, or the table was overwritten: restore it from a copy"),
            _ => null,
        };
    }

    /// <summary>Makes a GPT with these partitions, in this order, each on a MiB boundary, and returns it as read back.</summary>
    /// <param name="device">The disk; what a partition holds is not touched.</param>
    /// <param name="partitions">At least one; only the last may take what is left.</param>
    /// <param name="sectorByteSize">512 or 4096; 0 is the disk's own.</param>
    public static PartitionTable CreateGpt(
        IBlockDevice device, IReadOnlyList<NewPartition> partitions, int sectorByteSize = 0)
    {
        if (sectorByteSize == 0)
        {
            sectorByteSize = device.BlockByteSize == 4096 ? 4096 : 512;
        }

        if (sectorByteSize is not (512 or 4096))
        {
            throw new VDiskException(FailureKind.Usage, $"a GPT counts in sectors of 512 or 4096 bytes, not {sectorByteSize}");
        }

        DeviceRange.CheckWritable(device.IsReadOnly, "the disk");
        GptWriter.Write(device, partitions, sectorByteSize);
        return GptReader.TryRead(device, sectorByteSize) ??
            throw new VDiskException(FailureKind.Internal, "the partition table just written cannot be read back");
    }

    /// <summary>Partition <paramref name="number"/>.</summary>
    /// <exception cref="VDiskException">NotFound, naming the numbers that exist.</exception>
    public Partition Find(int number) =>
        Partitions.FirstOrDefault(partition => partition.Number == number) ??
        throw new VDiskException(
            FailureKind.NotFound, $"there is no partition {number}", null,
            Partitions.Count == 0 ? "the disk has no partition" : $"partitions: {string.Join(", ", Partitions.Select(p => p.Number))}");

    internal static void CheckOverlaps(IReadOnlyList<Partition> partitions, string structure, long byteOffset)
    {
        Partition[] sorted = [.. partitions.OrderBy(partition => partition.ByteOffset)];
        for (int i = 1; i < sorted.Length; i++)
        {
            if (sorted[i].ByteOffset < sorted[i - 1].ByteOffset + sorted[i - 1].ByteLength)
            {
                throw VDiskException.Damaged(
                    structure, byteOffset, $"partitions {sorted[i - 1].Number} and {sorted[i].Number} overlap");
            }
        }
    }

    private static PartitionTable? TryReadGpt(IBlockDevice device, int sectorByteSize, MbrReader.Verdict verdict)
    {
        if (verdict == MbrReader.Verdict.Protective)
        {
            return GptReader.TryRead(device, sectorByteSize);
        }

        // Without a protective MBR only a whole GPT at the start counts: one at the end alone may be a left-over of what
        // the disk was before.
        byte[] sector = new byte[sectorByteSize];
        if (device.ByteLength < 4L * sectorByteSize)
        {
            return null;
        }

        device.Read(sectorByteSize, sector);
        if (GptHeader.Parse(sector) is null || GptReader.TryRead(device, sectorByteSize) is not PartitionTable table)
        {
            return null;
        }

        return new PartitionTable(
            table.Scheme, table.DiskId, table.SectorByteSize, table.Partitions,
            [.. table.Notices, "the protective MBR of the GPT is damaged"]);
    }
}
