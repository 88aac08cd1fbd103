using System.Buffers.Binary;
using VDiskCrypt.Core;

namespace VDiskCrypt.Images.Vhdx;

/// <summary>What the metadata region says of the virtual disk ([MS-VHDX] 2.6).</summary>
internal sealed record VhdxMetadata
{
    private const int EntryByteSize = 32;
    private const int LargestItemByteSize = VhdxFormat.Mebibyte;
    private const uint LeaveBlocksAllocatedFlag = 1;
    private const uint HasParentFlag = 2;
    private const uint IsUserFlag = 1;
    private const uint IsVirtualDiskFlag = 2;
    private const uint IsRequiredFlag = 4;

    public required long DiskByteSize { get; init; }

    public required int BlockByteSize { get; init; }

    /// <summary>The image is fixed: its blocks are allocated and stay so.</summary>
    public bool LeavesBlocksAllocated { get; init; }

    public int LogicalSectorByteSize { get; init; } = 512;

    public int PhysicalSectorByteSize { get; init; } = 4096;

    /// <summary>The identifier of the disk as SCSI page 83 has it.</summary>
    public Guid DiskId { get; init; }

    public int PayloadBlockCount => (int)((DiskByteSize + BlockByteSize - 1) / BlockByteSize);

    /// <summary>Payload blocks per sector bitmap block ([MS-VHDX] 2.5).</summary>
    public long ChunkRatio => ((long)LogicalSectorByteSize << 23) / BlockByteSize;

    /// <summary>Entries of the BAT: after each full chunk stands the entry of its sector bitmap block, unused without a parent.</summary>
    public long BatEntryCount => PayloadBlockCount + (PayloadBlockCount - 1) / ChunkRatio;

    public static VhdxMetadata Read(IHostFile file, VhdxRegion region)
    {
        byte[] table = new byte[VhdxFormat.MetadataTableByteSize];
        file.Read(region.ByteOffset, table);
        if (BinaryPrimitives.ReadUInt64LittleEndian(table) != VhdxFormat.MetadataSignature)
        {
            throw VDiskException.Damaged("VHDX metadata table", region.ByteOffset, "the signature is missing");
        }

        Dictionary<Guid, byte[]> items = ReadItems(file, region, table);
        byte[] parameters = Item(items, VhdxFormat.FileParametersItem, 8, "file parameters", region);
        uint flags = BinaryPrimitives.ReadUInt32LittleEndian(parameters.AsSpan(4));
        if ((flags & HasParentFlag) != 0)
        {
            throw VhdxParentLocator.Refuse(items.GetValueOrDefault(VhdxFormat.ParentLocatorItem));
        }

        return Checked(
            BinaryPrimitives.ReadUInt64LittleEndian(Item(items, VhdxFormat.VirtualDiskSizeItem, 8, "virtual disk size", region)),
            BinaryPrimitives.ReadUInt32LittleEndian(parameters),
            BinaryPrimitives.ReadUInt32LittleEndian(Item(items, VhdxFormat.LogicalSectorSizeItem, 4, "logical sector size", region)),
            BinaryPrimitives.ReadUInt32LittleEndian(Item(items, VhdxFormat.PhysicalSectorSizeItem, 4, "physical sector size", region)),
            region) with
        {
            LeavesBlocksAllocated = (flags & LeaveBlocksAllocatedFlag) != 0,
            DiskId = new Guid(Item(items, VhdxFormat.VirtualDiskIdItem, 16, "virtual disk id", region)),
        };
    }

    /// <summary>Fills the region: the table, and behind it, from 64 KiB on, the items.</summary>
    public void WriteTo(Span<byte> region)
    {
        region.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(region, VhdxFormat.MetadataSignature);
        int itemCount = 0;
        int itemOffset = VhdxFormat.MetadataTableByteSize;

        Span<byte> parameters = AddItem(region, ref itemCount, ref itemOffset, VhdxFormat.FileParametersItem, 8, IsRequiredFlag);
        BinaryPrimitives.WriteUInt32LittleEndian(parameters, (uint)BlockByteSize);
        BinaryPrimitives.WriteUInt32LittleEndian(parameters[4..], LeavesBlocksAllocated ? LeaveBlocksAllocatedFlag : 0);

        const uint OfDisk = IsRequiredFlag | IsVirtualDiskFlag;
        BinaryPrimitives.WriteInt64LittleEndian(
            AddItem(region, ref itemCount, ref itemOffset, VhdxFormat.VirtualDiskSizeItem, 8, OfDisk), DiskByteSize);
        DiskId.TryWriteBytes(AddItem(region, ref itemCount, ref itemOffset, VhdxFormat.VirtualDiskIdItem, 16, OfDisk));
        BinaryPrimitives.WriteInt32LittleEndian(
            AddItem(region, ref itemCount, ref itemOffset, VhdxFormat.LogicalSectorSizeItem, 4, OfDisk), LogicalSectorByteSize);
        BinaryPrimitives.WriteInt32LittleEndian(
            AddItem(region, ref itemCount, ref itemOffset, VhdxFormat.PhysicalSectorSizeItem, 4, OfDisk), PhysicalSectorByteSize);
        BinaryPrimitives.WriteUInt16LittleEndian(region[10..], (ushort)itemCount);
    }

    private static Span<byte> AddItem(
        Span<byte> region, ref int itemCount, ref int itemOffset, Guid id, int byteSize, uint flags)
    {
        Span<byte> entry = region[(EntryByteSize * (itemCount + 1))..];
        id.TryWriteBytes(entry);
        BinaryPrimitives.WriteInt32LittleEndian(entry[16..], itemOffset);
        BinaryPrimitives.WriteInt32LittleEndian(entry[20..], byteSize);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[24..], flags);
        Span<byte> item = region.Slice(itemOffset, byteSize);
        itemCount++;
        itemOffset += byteSize;
        return item;
    }

    private static Dictionary<Guid, byte[]> ReadItems(IHostFile file, VhdxRegion region, ReadOnlySpan<byte> table)
    {
        int count = BinaryPrimitives.ReadUInt16LittleEndian(table[10..]);
        if (count > VhdxFormat.LargestEntryCount)
        {
            throw VDiskException.Damaged("VHDX metadata table", region.ByteOffset + 10, $"{count} entries do not fit the table");
        }

        var items = new Dictionary<Guid, byte[]>();
        var ranges = new List<(long Start, long End)>();
        for (int i = 0; i < count; i++)
        {
            int position = EntryByteSize * (i + 1);
            ReadOnlySpan<byte> entry = table.Slice(position, EntryByteSize);
            var id = new Guid(entry[..16]);
            uint itemOffset = BinaryPrimitives.ReadUInt32LittleEndian(entry[16..]);
            uint byteSize = BinaryPrimitives.ReadUInt32LittleEndian(entry[20..]);
            uint flags = BinaryPrimitives.ReadUInt32LittleEndian(entry[24..]);
            long entryOffset = region.ByteOffset + position;
            if (byteSize != 0)
            {
                if (itemOffset < VhdxFormat.MetadataTableByteSize || byteSize > LargestItemByteSize ||
                    itemOffset > region.ByteSize - byteSize)
                {
                    throw VDiskException.Damaged(
                        "VHDX metadata table", entryOffset, $"item {id} of {byteSize} bytes at {itemOffset} leaves the region");
                }

                ranges.Add((itemOffset, itemOffset + byteSize));
            }

            bool isKnown = (flags & IsUserFlag) == 0 && IsKnown(id);
            if (!isKnown && (flags & IsRequiredFlag) != 0)
            {
                throw VDiskException.Unsupported(
                    $"VHDX metadata table at byte {entryOffset}", $"item {id} is required and not known here");
            }

            if (isKnown)
            {
                byte[] value = new byte[byteSize];
                file.Read(region.ByteOffset + itemOffset, value);
                if (!items.TryAdd(id, value))
                {
                    throw VDiskException.Damaged("VHDX metadata table", entryOffset, $"item {id} occurs twice");
                }
            }
        }

        CheckOverlaps(ranges, region);
        return items;
    }

    private static bool IsKnown(Guid id) =>
        id == VhdxFormat.FileParametersItem || id == VhdxFormat.VirtualDiskSizeItem || id == VhdxFormat.VirtualDiskIdItem ||
        id == VhdxFormat.LogicalSectorSizeItem || id == VhdxFormat.PhysicalSectorSizeItem || id == VhdxFormat.ParentLocatorItem;

    private static void CheckOverlaps(List<(long Start, long End)> ranges, VhdxRegion region)
    {
        ranges.Sort();
        for (int i = 1; i < ranges.Count; i++)
        {
            if (ranges[i].Start < ranges[i - 1].End)
            {
                throw VDiskException.Damaged(
                    "VHDX metadata table", region.ByteOffset, $"two items overlap at {ranges[i].Start} of the region");
            }
        }
    }

    private static byte[] Item(Dictionary<Guid, byte[]> items, Guid id, int byteSize, string name, VhdxRegion region)
    {
        if (!items.TryGetValue(id, out byte[]? value) || value.Length < byteSize)
        {
            throw VDiskException.Damaged("VHDX metadata table", region.ByteOffset, $"the item {name} is missing or too short");
        }

        return value;
    }

    private static VhdxMetadata Checked(
        ulong diskByteSize, uint blockByteSize, uint logicalSectorByteSize, uint physicalSectorByteSize, VhdxRegion region)
    {
        if (logicalSectorByteSize is not (512 or 4096) || physicalSectorByteSize is not (512 or 4096))
        {
            throw VDiskException.Damaged(
                "VHDX metadata", region.ByteOffset,
                $"sector sizes {logicalSectorByteSize} (logical) and {physicalSectorByteSize} (physical); each must be 512 or 4096");
        }

        if (blockByteSize is < VhdxFormat.SmallestBlockByteSize or > VhdxFormat.LargestBlockByteSize ||
            !System.Numerics.BitOperations.IsPow2(blockByteSize))
        {
            throw VDiskException.Damaged(
                "VHDX metadata", region.ByteOffset, $"block size {blockByteSize} is no power of two from 1 MiB to 256 MiB");
        }

        if (diskByteSize is 0 or > VhdxFormat.LargestDiskByteSize || diskByteSize % logicalSectorByteSize != 0)
        {
            throw VDiskException.Damaged(
                "VHDX metadata", region.ByteOffset, $"a disk of {diskByteSize} bytes is no whole number of sectors up to 64 TiB");
        }

        ulong payloadBlockCount = (diskByteSize + blockByteSize - 1) / blockByteSize;
        if (payloadBlockCount > VhdxFormat.LargestBatEntryCount)
        {
            throw VDiskException.Unsupported(
                "VHDX metadata", $"{payloadBlockCount} blocks (up to {VhdxFormat.LargestBatEntryCount} are handled)",
                "convert the image to a larger block size");
        }

        return new VhdxMetadata
        {
            DiskByteSize = (long)diskByteSize,
            BlockByteSize = (int)blockByteSize,
            LogicalSectorByteSize = (int)logicalSectorByteSize,
            PhysicalSectorByteSize = (int)physicalSectorByteSize,
        };
    }
}
