using System.Buffers.Binary;
using VDiskCrypt.Core;

namespace VDiskCrypt.Images.Vhdx;

/// <summary>A range of the file given to one use.</summary>
internal readonly record struct VhdxRegion(Guid Id, long ByteOffset, long ByteSize, bool IsRequired)
{
    public long End => ByteOffset + ByteSize;
}

/// <summary>The region table, of which the file holds two equal copies ([MS-VHDX] 2.2.3).</summary>
internal sealed class VhdxRegionTable
{
    private const int EntryByteSize = 32;
    private const int EntriesOffset = 16;

    private byte[]? _validCopy;
    private long _damagedCopyOffset;

    private VhdxRegionTable(VhdxRegion bat, VhdxRegion metadata, IReadOnlyList<VhdxRegion> all)
    {
        Bat = bat;
        Metadata = metadata;
        All = all;
    }

    public VhdxRegion Bat { get; }

    public VhdxRegion Metadata { get; }

    /// <summary>Every region, the optional ones that nobody here knows among them.</summary>
    public IReadOnlyList<VhdxRegion> All { get; }

    public static VhdxRegionTable Read(IHostFile file, VhdxHeader header, List<string> notices)
    {
        byte[] first = new byte[VhdxFormat.RegionTableByteSize];
        byte[] second = new byte[VhdxFormat.RegionTableByteSize];
        file.Read(VhdxFormat.FirstRegionTableOffset, first);
        file.Read(VhdxFormat.SecondRegionTableOffset, second);
        bool firstIsValid = IsValid(first);
        bool secondIsValid = IsValid(second);
        if (!firstIsValid && !secondIsValid)
        {
            throw VDiskException.Damaged(
                "VHDX region table", VhdxFormat.FirstRegionTableOffset, "neither of the two copies is valid",
                "restore the first MiB of the image from a backup");
        }

        if (!firstIsValid || !secondIsValid)
        {
            notices.Add($"VHDX region table {(firstIsValid ? 2 : 1)} is damaged; the other copy is used");
        }

        VhdxRegionTable table = Parse(
            firstIsValid ? first : second,
            firstIsValid ? VhdxFormat.FirstRegionTableOffset : VhdxFormat.SecondRegionTableOffset, header, file.ByteLength);
        if (!firstIsValid || !secondIsValid)
        {
            table._validCopy = firstIsValid ? first : second;
            table._damagedCopyOffset = firstIsValid ? VhdxFormat.SecondRegionTableOffset : VhdxFormat.FirstRegionTableOffset;
        }

        return table;
    }

    /// <summary>Writes the valid copy over the one that was found damaged; durable on return.</summary>
    public void RepairCopy(IHostFile file)
    {
        if (_validCopy is not null)
        {
            file.Write(_damagedCopyOffset, _validCopy);
            file.Flush();
            _validCopy = null;
        }
    }

    public static void Write(Span<byte> destination, ReadOnlySpan<VhdxRegion> regions)
    {
        destination.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(destination, VhdxFormat.RegionTableSignature);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[8..], (uint)regions.Length);
        for (int i = 0; i < regions.Length; i++)
        {
            Span<byte> entry = destination[(EntriesOffset + i * EntryByteSize)..];
            regions[i].Id.TryWriteBytes(entry);
            BinaryPrimitives.WriteInt64LittleEndian(entry[16..], regions[i].ByteOffset);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[24..], checked((uint)regions[i].ByteSize));
            BinaryPrimitives.WriteUInt32LittleEndian(entry[28..], regions[i].IsRequired ? 1u : 0u);
        }

        VhdxChecksum.Store(destination);
    }

    private static bool IsValid(ReadOnlySpan<byte> table) =>
        BinaryPrimitives.ReadUInt32LittleEndian(table) == VhdxFormat.RegionTableSignature && VhdxChecksum.IsValid(table);

    private static VhdxRegionTable Parse(ReadOnlySpan<byte> table, long tableOffset, VhdxHeader header, long fileByteLength)
    {
        uint count = BinaryPrimitives.ReadUInt32LittleEndian(table[8..]);
        if (count > VhdxFormat.LargestEntryCount)
        {
            throw VDiskException.Damaged("VHDX region table", tableOffset + 8, $"{count} entries do not fit the table");
        }

        var regions = new List<VhdxRegion>();
        for (int i = 0; i < count; i++)
        {
            int position = EntriesOffset + i * EntryByteSize;
            ReadOnlySpan<byte> entry = table.Slice(position, EntryByteSize);
            var region = new VhdxRegion(
                new Guid(entry[..16]), BinaryPrimitives.ReadInt64LittleEndian(entry[16..]),
                BinaryPrimitives.ReadUInt32LittleEndian(entry[24..]),
                (BinaryPrimitives.ReadUInt32LittleEndian(entry[28..]) & 1) != 0);
            Check(region, tableOffset + position, fileByteLength);
            regions.Add(region);
        }

        CheckOverlaps(regions, header, tableOffset);
        return new VhdxRegionTable(
            Single(regions, VhdxFormat.BatRegion, "BAT", tableOffset),
            Single(regions, VhdxFormat.MetadataRegion, "metadata", tableOffset), regions);
    }

    private static void Check(VhdxRegion region, long byteOffset, long fileByteLength)
    {
        if (region.ByteOffset < VhdxFormat.HeaderSectionByteSize || region.ByteOffset % VhdxFormat.Mebibyte != 0 ||
            region.ByteSize == 0 || region.ByteSize % VhdxFormat.Mebibyte != 0)
        {
            throw VDiskException.Damaged(
                "VHDX region table", byteOffset,
                $"region {region.Id} of {region.ByteSize} bytes at {region.ByteOffset} is not on MiB boundaries behind the headers");
        }

        if (region.ByteOffset > fileByteLength - region.ByteSize)
        {
            throw VDiskException.Damaged(
                "VHDX region table", byteOffset,
                $"region {region.Id} of {region.ByteSize} bytes at {region.ByteOffset} reaches behind the end of the file ({fileByteLength})",
                "the image was cut off: restore it from a copy");
        }

        if (region.IsRequired && region.Id != VhdxFormat.BatRegion && region.Id != VhdxFormat.MetadataRegion)
        {
            throw VDiskException.Unsupported(
                $"VHDX region table at byte {byteOffset}", $"region {region.Id} is required and not known here");
        }
    }

    private static void CheckOverlaps(List<VhdxRegion> regions, VhdxHeader header, long tableOffset)
    {
        List<VhdxRegion> sorted = [.. regions, new(Guid.Empty, header.LogOffset, header.LogByteSize, true)];
        sorted.Sort((left, right) => left.ByteOffset.CompareTo(right.ByteOffset));
        for (int i = 1; i < sorted.Count; i++)
        {
            if (sorted[i - 1].ByteSize != 0 && sorted[i].ByteSize != 0 && sorted[i].ByteOffset < sorted[i - 1].End)
            {
                throw VDiskException.Damaged(
                    "VHDX region table", tableOffset,
                    $"two regions (or one and the log) overlap at byte {sorted[i].ByteOffset}");
            }
        }
    }

    private static VhdxRegion Single(List<VhdxRegion> regions, Guid id, string name, long tableOffset)
    {
        List<VhdxRegion> found = regions.FindAll(region => region.Id == id);
        return found.Count == 1
            ? found[0]
            : throw VDiskException.Damaged(
                "VHDX region table", tableOffset, $"{found.Count} regions are called {name}; there must be one");
    }
}
