using System.Buffers.Binary;
using System.Numerics;
using System.Text;
using VDiskCrypt.Core;

namespace VDiskCrypt.Images.Vhd;

/// <summary>The dynamic disk header, 1024 bytes, big-endian ([VHD] "Dynamic Disk Header Format").</summary>
internal sealed record VhdDynamicHeader
{
    public const int ByteSize = 1024;

    /// <summary>Entries held in memory: 32 MiB of them.</summary>
    public const int LargestTableEntryCount = 8 << 20;

    private const ulong Cookie = 0x6378_7370_6172_7365;
    private const uint FormatVersion = 0x0001_0000;
    private const int ChecksumOffset = 36;
    private const int SmallestBlockByteSize = 4096;
    private const int LargestBlockByteSize = 256 << 20;
    private const int ParentNameOffset = 64;
    private const int ParentNameByteSize = 512;

    public required long ByteOffset { get; init; }

    public required long TableOffset { get; init; }

    public required int TableEntryCount { get; init; }

    /// <summary>The data of a block; its bitmap comes on top.</summary>
    public required int BlockByteSize { get; init; }

    public long TableEnd => TableOffset + ((long)TableEntryCount * sizeof(uint) + 511) / 512 * 512;

    public static VhdDynamicHeader Read(IHostFile file, VhdFooter footer)
    {
        if (footer.DataOffset % 512 != 0 || footer.DataOffset < VhdFooter.ByteSize ||
            footer.DataOffset > (ulong)Math.Max(0, file.ByteLength - ByteSize))
        {
            throw VDiskException.Damaged(
                "VHD footer", 16, $"the dynamic disk header at {footer.DataOffset} is not inside the file ({file.ByteLength})",
                "the image was cut off: restore it from a copy");
        }

        long byteOffset = (long)footer.DataOffset;
        byte[] bytes = new byte[ByteSize];
        file.Read(byteOffset, bytes);
        if (BinaryPrimitives.ReadUInt64BigEndian(bytes) != Cookie ||
            BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(ChecksumOffset)) != VhdChecksum.Compute(bytes, ChecksumOffset))
        {
            throw VDiskException.Damaged(
                "VHD dynamic disk header", byteOffset, "the cookie or the checksum is wrong", "restore it from a backup");
        }

        if (footer.Type == VhdType.Differencing)
        {
            throw RefuseParent(bytes);
        }

        return Checked(bytes, byteOffset, footer, file.ByteLength);
    }

    public static byte[] Create(long tableOffset, int tableEntryCount, int blockByteSize)
    {
        byte[] bytes = new byte[ByteSize];
        Span<byte> span = bytes;
        BinaryPrimitives.WriteUInt64BigEndian(span, Cookie);
        BinaryPrimitives.WriteUInt64BigEndian(span[8..], VhdFooter.NoOffset);
        BinaryPrimitives.WriteInt64BigEndian(span[16..], tableOffset);
        BinaryPrimitives.WriteUInt32BigEndian(span[24..], FormatVersion);
        BinaryPrimitives.WriteInt32BigEndian(span[28..], tableEntryCount);
        BinaryPrimitives.WriteInt32BigEndian(span[32..], blockByteSize);
        BinaryPrimitives.WriteUInt32BigEndian(span[ChecksumOffset..], VhdChecksum.Compute(span, ChecksumOffset));
        return bytes;
    }

    /// <summary>Differencing images are refused here, in this one place.</summary>
    private static VDiskException RefuseParent(ReadOnlySpan<byte> bytes)
    {
        string name = Encoding.BigEndianUnicode.GetString(bytes.Slice(ParentNameOffset, ParentNameByteSize)).TrimEnd('\0');
        return VDiskException.Unsupported(
            "VHD dynamic disk header", $"a differencing image on top of {(name.Length > 0 ? name : "an unnamed parent")}",
            "merge it into its parent, or convert it: qemu-img convert -O vpc");
    }

    private static VhdDynamicHeader Checked(ReadOnlySpan<byte> bytes, long byteOffset, VhdFooter footer, long fileByteLength)
    {
        uint version = BinaryPrimitives.ReadUInt32BigEndian(bytes[24..]);
        if (version >> 16 != 1)
        {
            throw VDiskException.Unsupported("VHD dynamic disk header", $"version {version >> 16}.{version & 0xFFFF}");
        }

        uint blockByteSize = BinaryPrimitives.ReadUInt32BigEndian(bytes[32..]);
        if (!BitOperations.IsPow2(blockByteSize) || blockByteSize is < SmallestBlockByteSize or > LargestBlockByteSize)
        {
            throw VDiskException.Damaged(
                "VHD dynamic disk header", byteOffset + 32, $"block size {blockByteSize} is no power of two from 4 KiB to 256 MiB");
        }

        uint entryCount = BinaryPrimitives.ReadUInt32BigEndian(bytes[28..]);
        if (entryCount > LargestTableEntryCount)
        {
            throw VDiskException.Unsupported(
                "VHD dynamic disk header", $"{entryCount} table entries (up to {LargestTableEntryCount} are handled)");
        }

        ulong tableOffset = BinaryPrimitives.ReadUInt64BigEndian(bytes[16..]);
        ulong tableByteSize = ((ulong)entryCount * sizeof(uint) + 511) / 512 * 512;
        bool overlapsHeader = tableOffset < (ulong)(byteOffset + ByteSize) && (ulong)byteOffset < tableOffset + tableByteSize;
        if (tableOffset % 512 != 0 || tableOffset < VhdFooter.ByteSize || overlapsHeader ||
            tableOffset > (ulong)fileByteLength || (ulong)fileByteLength - tableOffset < tableByteSize)
        {
            throw VDiskException.Damaged(
                "VHD dynamic disk header", byteOffset + 16,
                $"the table of {tableByteSize} bytes at {tableOffset} overlaps the headers or the end of the file ({fileByteLength})");
        }

        if ((ulong)entryCount * blockByteSize < footer.DiskByteSize)
        {
            throw VDiskException.Damaged(
                "VHD dynamic disk header", byteOffset + 28,
                $"{entryCount} blocks of {blockByteSize} bytes do not hold a disk of {footer.DiskByteSize} bytes");
        }

        return new VhdDynamicHeader
        {
            ByteOffset = byteOffset,
            TableOffset = (long)tableOffset,
            TableEntryCount = (int)entryCount,
            BlockByteSize = (int)blockByteSize,
        };
    }
}
