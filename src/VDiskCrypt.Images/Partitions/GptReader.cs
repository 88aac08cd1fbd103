using System.Buffers.Binary;
using System.Text;
using VDiskCrypt.Core;

namespace VDiskCrypt.Images;

/// <summary>Reading a GPT ([UEFI] 2.10, 5.3): the copy at sector 1, or the one at the end where that is damaged.</summary>
internal sealed class GptReader
{
    private const int LargestEntryCount = 1024;
    private const int LargestEntryByteSize = 4096;
    private const int NameOffset = 56;
    private const int NameByteSize = 72;

    private readonly IBlockDevice _device;
    private readonly int _sectorByteSize;
    private readonly long _sectorCount;

    private GptReader(IBlockDevice device, int sectorByteSize)
    {
        _device = device;
        _sectorByteSize = sectorByteSize;
        _sectorCount = device.ByteLength / sectorByteSize;
    }

    /// <summary>Null where neither copy's signature is found with this sector size.</summary>
    public static PartitionTable? TryRead(IBlockDevice device, int sectorByteSize)
    {
        var reader = new GptReader(device, sectorByteSize);
        if (reader._sectorCount < 4)
        {
            return null;
        }

        var notices = new List<string>();
        GptHeader? primary = reader.ReadCopy(1, out byte[] primaryEntries, out bool primaryIsThere);
        long backupSector = primary is not null && primary.OtherSector > 1 && primary.OtherSector < reader._sectorCount
            ? primary.OtherSector
            : reader._sectorCount - 1;
        GptHeader? backup = reader.ReadCopy(backupSector, out byte[] backupEntries, out bool backupIsThere);
        if (primary is null && backup is null)
        {
            return !primaryIsThere && !backupIsThere
                ? null
                : throw VDiskException.Damaged(
                    "GPT header", sectorByteSize, "both copies of the partition table are damaged",
                    "restore it from a backup, or recover it with gdisk");
        }

        if (primary is null)
        {
            notices.Add("the GPT at the start of the disk is damaged; the copy at the end is used");
        }
        else if (backup is null)
        {
            notices.Add("the copy of the GPT at the end of the disk is damaged; the one at the start is used");
        }

        GptHeader header = primary ?? backup!;
        List<Partition> partitions = reader.ReadPartitions(header, primary is null ? backupEntries : primaryEntries);
        return new PartitionTable(PartitionScheme.Gpt, header.DiskId, sectorByteSize, partitions, notices);
    }

    private GptHeader? ReadCopy(long sector, out byte[] entries, out bool hasSignature)
    {
        entries = [];
        byte[] bytes = new byte[_sectorByteSize];
        _device.Read(sector * _sectorByteSize, bytes);
        hasSignature = GptHeader.HasSignature(bytes);
        if (GptHeader.Parse(bytes) is not GptHeader header || header.OwnSector != sector)
        {
            return null;
        }

        bool isSound = header.EntryCount <= LargestEntryCount && header.EntrySize is >= GptHeader.EntryByteSize and <= LargestEntryByteSize &&
            header.EntrySize % GptHeader.EntryByteSize == 0 && header.EntriesSector >= 2 && header.EntriesSector < _sectorCount;
        long byteCount = isSound ? (long)header.EntryCount * header.EntrySize : 0;
        if (!isSound || header.EntriesSector * _sectorByteSize > _device.ByteLength - byteCount)
        {
            return null;
        }

        entries = new byte[byteCount];
        _device.Read(header.EntriesSector * _sectorByteSize, entries);
        return Crc32.Compute(entries) == header.EntriesChecksum ? header : null;
    }

    private List<Partition> ReadPartitions(GptHeader header, byte[] entries)
    {
        var partitions = new List<Partition>();
        for (int i = 0; i < header.EntryCount; i++)
        {
            ReadOnlySpan<byte> entry = entries.AsSpan(i * (int)header.EntrySize, GptHeader.EntryByteSize);
            var type = new Guid(entry[..16]);
            if (type == Guid.Empty)
            {
                continue;
            }

            long first = BinaryPrimitives.ReadInt64LittleEndian(entry[32..]);
            long last = BinaryPrimitives.ReadInt64LittleEndian(entry[40..]);
            if (first < header.FirstUsableSector || first < 2 || last < first || last > header.LastUsableSector || last >= _sectorCount)
            {
                throw VDiskException.Damaged(
                    "GPT entry", header.EntriesSector * _sectorByteSize + i * header.EntrySize,
                    $"partition {i + 1}, sectors {first} to {last}, leaves the disk ({_sectorCount} sectors) or its usable part",
                    "the image was cut off, or the table is wrong: check it with sgdisk -v");
            }

            partitions.Add(new Partition
            {
                Number = i + 1,
                ByteOffset = first * _sectorByteSize,
                ByteLength = (last - first + 1) * _sectorByteSize,
                TypeId = type,
                UniqueId = new Guid(entry[16..32]),
                Name = Encoding.Unicode.GetString(entry.Slice(NameOffset, NameByteSize)).Split('\0')[0],
            });
        }

        PartitionTable.CheckOverlaps(partitions, "GPT entries", header.EntriesSector * _sectorByteSize);
        return partitions;
    }
}
