using System.Buffers.Binary;
using VDiskCrypt.Core;

namespace VDiskCrypt.Images;

/// <summary>
/// Reading an MBR: four entries of 16 bytes from byte 446 of sector 0 ([UEFI] 2.10, 5.2.1); an extended partition holds a
/// chain of such sectors, one logical partition each.
/// </summary>
internal static class MbrReader
{
    public const int EntriesOffset = 446;
    public const int EntryByteSize = 16;
    public const int SignatureOffset = 510;
    public const ushort Signature = 0xAA55;
    public const byte ProtectiveType = 0xEE;

    private const int EntryCount = 4;
    private const int FirstLogicalNumber = 5;
    private const int LargestLogicalCount = 128;

    /// <summary>What the first sector looks like.</summary>
    public enum Verdict
    {
        NoBootRecord,
        Protective,
        Partitions,
        SomethingElse,
    }

    private readonly record struct Entry(byte Status, byte Type, uint FirstSector, uint SectorCount)
    {
        public bool IsUsed => Type != 0 && SectorCount != 0;

        public bool IsExtended => Type is 0x05 or 0x0F or 0x85;
    }

    public static Verdict Look(ReadOnlySpan<byte> sector)
    {
        if (BinaryPrimitives.ReadUInt16LittleEndian(sector[SignatureOffset..]) != Signature)
        {
            return Verdict.NoBootRecord;
        }

        bool isSound = true;
        bool anyUsed = false;
        bool isProtective = false;
        for (int i = 0; i < EntryCount; i++)
        {
            Entry entry = ReadEntry(sector, i);
            isSound &= entry.Status is 0 or 0x80 && (!entry.IsUsed || entry.FirstSector != 0);
            anyUsed |= entry.IsUsed;
            isProtective |= entry.Type == ProtectiveType;
        }

        // FAT, NTFS and exFAT begin with a sector that carries the same signature and code or text in the entries.
        bool isFileSystem = sector.Slice(3, 4).SequenceEqual("NTFS"u8) || sector.Slice(3, 5).SequenceEqual("EXFAT"u8) ||
            sector.Slice(54, 3).SequenceEqual("FAT"u8) || sector.Slice(82, 3).SequenceEqual("FAT"u8) ||
            sector.Slice(3, 8).SequenceEqual("-FVE-FS-"u8);
        if (isProtective)
        {
            return Verdict.Protective;
        }

        return isSound && anyUsed && !isFileSystem ? Verdict.Partitions : Verdict.SomethingElse;
    }

    public static PartitionTable Read(IBlockDevice device, int sectorByteSize, ReadOnlySpan<byte> firstSector)
    {
        var partitions = new List<Partition>();
        for (int i = 0; i < EntryCount; i++)
        {
            Entry entry = ReadEntry(firstSector, i);
            if (!entry.IsUsed)
            {
                continue;
            }

            if (entry.IsExtended)
            {
                ReadLogical(device, sectorByteSize, entry, partitions);
            }
            else
            {
                partitions.Add(MakePartition(device, sectorByteSize, i + 1, entry.Type, entry.FirstSector, entry.SectorCount, 0));
            }
        }

        partitions.Sort((left, right) => left.Number.CompareTo(right.Number));
        PartitionTable.CheckOverlaps(partitions, "MBR", EntriesOffset);
        return new PartitionTable(PartitionScheme.Mbr, Guid.Empty, sectorByteSize, partitions, []);
    }

    private static void ReadLogical(IBlockDevice device, int sectorByteSize, Entry extended, List<Partition> partitions)
    {
        byte[] sector = new byte[sectorByteSize];
        long tableSector = extended.FirstSector;
        int number = FirstLogicalNumber + partitions.Count(partition => partition.Number >= FirstLogicalNumber);
        for (int count = 0; ; count++)
        {
            long byteOffset = tableSector * sectorByteSize;
            if (count == LargestLogicalCount)
            {
                throw VDiskException.Damaged("MBR chain", byteOffset, $"more than {LargestLogicalCount} links: the chain runs in a circle");
            }

            if (byteOffset > device.ByteLength - sectorByteSize)
            {
                throw VDiskException.Damaged(
                    "MBR chain", byteOffset, $"the next table lies behind the end of the disk ({device.ByteLength} bytes)",
                    "the image was cut off: restore it from a copy");
            }

            device.Read(byteOffset, sector);
            if (BinaryPrimitives.ReadUInt16LittleEndian(sector.AsSpan(SignatureOffset)) != Signature)
            {
                throw VDiskException.Damaged("MBR chain", byteOffset + SignatureOffset, "a table of the chain has no signature");
            }

            Entry logical = ReadEntry(sector, 0);
            if (logical.IsUsed)
            {
                partitions.Add(MakePartition(
                    device, sectorByteSize, number++, logical.Type, tableSector + logical.FirstSector, logical.SectorCount, byteOffset));
            }

            Entry next = ReadEntry(sector, 1);
            if (!next.IsUsed || !next.IsExtended)
            {
                return;
            }

            tableSector = (long)extended.FirstSector + next.FirstSector;
        }
    }

    private static Partition MakePartition(
        IBlockDevice device, int sectorByteSize, int number, byte type, long firstSector, long sectorCount, long tableOffset)
    {
        long byteOffset = firstSector * sectorByteSize;
        long byteLength = sectorCount * sectorByteSize;
        if (byteOffset > device.ByteLength - byteLength)
        {
            throw VDiskException.Damaged(
                "MBR entry", tableOffset + EntriesOffset,
                $"partition {number}, sectors {firstSector} to {firstSector + sectorCount - 1}, leaves the disk ({device.ByteLength} bytes)",
                "the image was cut off: restore it from a copy");
        }

        return new Partition { Number = number, ByteOffset = byteOffset, ByteLength = byteLength, MbrType = type };
    }

    private static Entry ReadEntry(ReadOnlySpan<byte> sector, int index)
    {
        ReadOnlySpan<byte> entry = sector.Slice(EntriesOffset + index * EntryByteSize, EntryByteSize);
        return new Entry(
            entry[0], entry[4], BinaryPrimitives.ReadUInt32LittleEndian(entry[8..]),
            BinaryPrimitives.ReadUInt32LittleEndian(entry[12..]));
    }
}
