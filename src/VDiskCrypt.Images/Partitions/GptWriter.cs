using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using VDiskCrypt.Core;

namespace VDiskCrypt.Images;

/// <summary>Making a GPT with its protective MBR ([UEFI] 2.10, 5.2.3 and 5.3).</summary>
internal static class GptWriter
{
    private const long Alignment = 1 << 20;
    private const int NameUnitCount = 36;
    private const int EntriesByteSize = GptHeader.UsualEntryCount * GptHeader.EntryByteSize;

    public static void Write(IBlockDevice device, IReadOnlyList<NewPartition> partitions, int sectorByteSize)
    {
        long sectorCount = device.ByteLength / sectorByteSize;
        int entriesSectorCount = EntriesByteSize / sectorByteSize;
        byte[] entries = new byte[EntriesByteSize];
        var primary = new GptHeader
        {
            OwnSector = 1,
            OtherSector = sectorCount - 1,
            FirstUsableSector = 2 + entriesSectorCount,
            LastUsableSector = sectorCount - 2 - entriesSectorCount,
            DiskId = NewId(),
            EntriesSector = 2,
        };
        Place(entries, partitions, primary, sectorByteSize);
        primary = primary with { EntriesChecksum = Crc32.Compute(entries) };
        GptHeader backup = primary with
        {
            OwnSector = primary.OtherSector,
            OtherSector = primary.OwnSector,
            EntriesSector = primary.LastUsableSector + 1,
        };

        // 1. The copy at the end; flush. 2. The one at the start, and last the MBR, without which it is no GPT; flush.
        WriteCopy(device, backup, entries, sectorByteSize);
        device.Flush();
        WriteCopy(device, primary, entries, sectorByteSize);
        WriteProtectiveMbr(device, sectorCount, sectorByteSize);
        device.Flush();
    }

    private static void Place(byte[] entries, IReadOnlyList<NewPartition> partitions, GptHeader header, int sectorByteSize)
    {
        if (partitions.Count > GptHeader.UsualEntryCount)
        {
            throw new VDiskException(FailureKind.Usage, $"a GPT holds {GptHeader.UsualEntryCount} partitions, not {partitions.Count}");
        }

        long position = Math.Max(Alignment, RoundUp(header.FirstUsableSector * sectorByteSize));
        long end = Math.Max(0, (header.LastUsableSector + 1) * sectorByteSize) / Alignment * Alignment;
        for (int i = 0; i < partitions.Count; i++)
        {
            NewPartition partition = partitions[i];
            if (partition.Name.Length > NameUnitCount)
            {
                throw new VDiskException(FailureKind.Usage, $"a partition name has up to {NameUnitCount} characters: {partition.Name}");
            }

            if (partition.ByteLength is null && i != partitions.Count - 1)
            {
                throw new VDiskException(FailureKind.Usage, "only the last partition can take what is left of the disk");
            }

            if (partition.ByteLength is <= 0 || (partition.ByteLength ?? Alignment) > end - position)
            {
                throw new VDiskException(
                    FailureKind.Usage,
                    $"partition {i + 1} does not fit: {Math.Max(0, end - position)} of {partition.ByteLength ?? Alignment} bytes are left",
                    null, "make the disk larger or the partitions smaller; a GPT takes 1 MiB at either end");
            }

            long byteLength = RoundUp(partition.ByteLength ?? end - position);
            Span<byte> entry = entries.AsSpan(i * GptHeader.EntryByteSize, GptHeader.EntryByteSize);
            (partition.TypeId ?? PartitionTable.LuksTypeId).TryWriteBytes(entry);
            NewId().TryWriteBytes(entry[16..]);
            BinaryPrimitives.WriteInt64LittleEndian(entry[32..], position / sectorByteSize);
            BinaryPrimitives.WriteInt64LittleEndian(entry[40..], (position + byteLength) / sectorByteSize - 1);
            Encoding.Unicode.GetBytes(partition.Name, entry[56..]);
            position += byteLength;
        }
    }

    private static void WriteCopy(IBlockDevice device, GptHeader header, byte[] entries, int sectorByteSize)
    {
        byte[] sector = new byte[sectorByteSize];
        header.WriteTo(sector);
        device.Write(header.EntriesSector * sectorByteSize, entries);
        device.Write(header.OwnSector * sectorByteSize, sector);
    }

    private static void WriteProtectiveMbr(IBlockDevice device, long sectorCount, int sectorByteSize)
    {
        byte[] sector = new byte[sectorByteSize];
        Span<byte> entry = sector.AsSpan(MbrReader.EntriesOffset, MbrReader.EntryByteSize);

        // 5.2.3: from sector 1 to the end, or as far as 32 bits reach; CHS 0/0/2 to 255/255/255.
        entry[2] = 2;
        entry[4] = MbrReader.ProtectiveType;
        entry.Slice(5, 3).Fill(0xFF);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[8..], 1);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[12..], (uint)Math.Min(sectorCount - 1, uint.MaxValue));
        BinaryPrimitives.WriteUInt16LittleEndian(sector.AsSpan(MbrReader.SignatureOffset), MbrReader.Signature);
        device.Write(0, sector);
    }

    private static Guid NewId()
    {
        // A random GUID says so in its version and variant bits (RFC 9562, 5.4).
        Span<byte> bytes = stackalloc byte[16];
        RandomNumberGenerator.Fill(bytes);
        bytes[7] = (byte)((bytes[7] & 0x0F) | 0x40);
        bytes[8] = (byte)((bytes[8] & 0x3F) | 0x80);
        return new Guid(bytes);
    }

    private static long RoundUp(long byteCount) => checked(byteCount + Alignment - 1) / Alignment * Alignment;
}
