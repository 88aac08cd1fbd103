using System.Buffers.Binary;
using System.Text;
using VDiskCrypt.Core;
using VDiskCrypt.Images.Vhd;
using VDiskCrypt.Images.Vhdx;

namespace VDiskCrypt.Images.Tests;

/// <summary>A valid image, one named mutation, and what has to come of it.</summary>
/// <param name="Name">The mutation.</param>
/// <param name="Format">The image it starts from.</param>
/// <param name="Mutate">Changes the bytes of the file; may cut them off.</param>
/// <param name="Refusal">The kind of failure; null where the image opens, with a notice.</param>
/// <param name="Says">What the message or a notice must contain.</param>
internal sealed record HostileImage(
    string Name, ImageFormat Format, Func<byte[], byte[]> Mutate, FailureKind? Refusal, string Says)
{
    public const int Mib = 1 << 20;
    public const int DiskByteSize = 8 * Mib;

    private const int MetadataOffset = 2 * Mib;
    private const int BatOffset = 3 * Mib;
    private const int VhdTable = 1536;

    public static readonly HostileImage[] All = [.. Vhdx(), .. VhdxLog(), .. VhdDynamic(), .. VhdFixed()];

    /// <summary>An image with the blocks 0, 2 and 3 in use, each filled with its number plus one.</summary>
    public static byte[] Valid(ImageFormat format)
    {
        var file = new SimulatedFile();
        switch (format)
        {
            case ImageFormat.VhdFixed:
                VhdFile.CreateFixed(file, DiskByteSize);
                break;
            case ImageFormat.VhdDynamic:
                VhdFile.CreateDynamic(file, DiskByteSize);
                break;
            default:
                VhdxImage.Create(file, DiskByteSize, isFixed: false, blockByteSize: 2 * Mib);
                break;
        }

        using (IBlockDevice image = Open(file))
        {
            foreach (int block in (int[])[0, 2, 3])
            {
                byte[] bytes = new byte[2 * Mib];
                bytes.AsSpan().Fill((byte)(block + 1));
                image.Write(block * 2L * Mib, bytes);
            }
        }

        return file.ToBytes();
    }

    /// <summary>Opens as ImageFormats does, by contents.</summary>
    public static IBlockDevice Open(IHostFile file) => Open(file, out _);

    public static IBlockDevice Open(IHostFile file, out List<string> notices)
    {
        notices = [];
        if (VhdxImage.IsVhdx(file))
        {
            VhdxImage vhdx = VhdxImage.Open(file);
            notices = vhdx.Notices;
            return vhdx;
        }

        return VhdFile.TryOpen(file, notices, out _) ?? throw new VDiskException(FailureKind.NotFound, "no image");
    }

    private static IEnumerable<HostileImage> Vhdx()
    {
        HostileImage Refused(string name, Action<byte[]> mutate, string says, FailureKind kind = FailureKind.Damaged) =>
            new(name, ImageFormat.VhdxDynamic, bytes => { mutate(bytes); return bytes; }, kind, says);
        HostileImage Opens(string name, Action<byte[]> mutate, string says) =>
            new(name, ImageFormat.VhdxDynamic, bytes => { mutate(bytes); return bytes; }, null, says);
        HostileImage Entry(string name, int block, ulong entry, string says) =>
            Refused(name, bytes => U64(bytes, BatOffset + block * 8, entry), says);
        HostileImage Metadata(string name, Guid item, Action<byte[], int> mutate, string says, FailureKind kind = FailureKind.Damaged) =>
            Refused(name, bytes => mutate(bytes, MetadataEntry(bytes, item)), says, kind);

        yield return Opens("header 1 damaged", bytes => bytes[0x10000 + 100] ^= 1, "header 1 is damaged");
        yield return Opens("header 2 damaged", bytes => bytes[0x20000 + 100] ^= 1, "header 2 is damaged");
        yield return Refused("both headers damaged", bytes => { bytes[0x10000] ^= 1; bytes[0x20000] ^= 1; }, "neither of the two headers");
        yield return Refused("version 2", bytes => Headers(bytes, header => header with { Version = 2 }), "version 2", FailureKind.Unsupported);
        yield return Refused("log version 1", bytes => Headers(bytes, header => header with { LogVersion = 1 }), "log version 1", FailureKind.Unsupported);
        yield return Refused("log unaligned", bytes => Headers(bytes, header => header with { LogOffset = Mib + 4096 }), "MiB boundaries");
        yield return Refused("log over the headers", bytes => Headers(bytes, header => header with { LogOffset = 0 }), "MiB boundaries");
        yield return Refused("log over the metadata", bytes => Headers(bytes, header => header with { LogOffset = 2 * Mib }), "overlap");
        yield return Refused("log behind the end", bytes => Headers(bytes, header => header with { LogOffset = 1L << 40 }), "behind the end of the file");
        yield return Refused("log at the end of all numbers", bytes => Headers(bytes, header => header with { LogOffset = long.MaxValue / Mib * Mib }), "behind the end of the file");
        yield return Refused("log too large", bytes => Headers(bytes, header => header with { LogByteSize = 1u << 30 }), "a log of", FailureKind.Unsupported);
        yield return Refused("sequence number at its end", bytes => Headers(bytes, header => header with { SequenceNumber = ulong.MaxValue }), "no room");
        yield return Refused(
            "headers with one number that differ",
            bytes => { Headers(bytes, header => header with { SequenceNumber = 9 }); Header(bytes, 0, header => header with { FileWriteId = Guid.NewGuid() }); },
            "differ");

        yield return Opens("region table 1 damaged", bytes => bytes[0x30020] ^= 1, "region table 1 is damaged");
        yield return Opens("region table 2 damaged", bytes => bytes[0x40020] ^= 1, "region table 2 is damaged");
        yield return Refused("both region tables damaged", bytes => { bytes[0x30020] ^= 1; bytes[0x40020] ^= 1; }, "neither of the two copies");
        yield return Refused("region count of 60000", bytes => Regions(bytes, table => U32(table, 8, 60000)), "entries do not fit");
        yield return Refused("BAT region behind the end", bytes => Regions(bytes, table => U64(table, 16 + 16, 1UL << 40)), "behind the end");
        yield return Refused("BAT region at a negative place", bytes => Regions(bytes, table => U64(table, 16 + 16, 0xFFFF_FFFF_FFF0_0000)), "MiB boundaries");
        yield return Refused("BAT region over the headers", bytes => Regions(bytes, table => U64(table, 16 + 16, 0)), "MiB boundaries");
        yield return Refused("BAT region over the metadata", bytes => Regions(bytes, table => U64(table, 16 + 16, 2 * Mib)), "overlap");
        yield return Refused("BAT region over the log", bytes => Regions(bytes, table => U64(table, 16 + 16, 1 * Mib)), "overlap");
        yield return Refused("no metadata region", bytes => Regions(bytes, table => U32(table, 8, 1)), "0 regions are called metadata");
        yield return Refused(
            "unknown required region", bytes => AddRegion(bytes, required: true), "is required and not known", FailureKind.Unsupported);
        yield return Opens("unknown optional region and a damaged header", bytes => { AddRegion(bytes, required: false); bytes[0x10000] ^= 1; }, "header 1");

        yield return Refused("metadata signature", bytes => bytes[MetadataOffset] ^= 1, "signature is missing");
        yield return Refused("metadata entry count", bytes => U16(bytes, MetadataOffset + 10, 65535), "entries do not fit");
        yield return Metadata("metadata item behind the region", VhdxFormat.VirtualDiskSizeItem, (bytes, entry) => U32(bytes, entry + 16, Mib), "leaves the region");
        yield return Metadata("metadata item in the table", VhdxFormat.VirtualDiskSizeItem, (bytes, entry) => U32(bytes, entry + 16, 64), "leaves the region");
        yield return Metadata("metadata item of 4 GiB", VhdxFormat.VirtualDiskSizeItem, (bytes, entry) => U32(bytes, entry + 20, 0xFFFF_FFF8), "leaves the region");
        yield return Metadata("metadata items overlap", VhdxFormat.VirtualDiskSizeItem, (bytes, entry) => U32(bytes, entry + 16, 0x10000), "overlap");
        yield return Metadata("no disk size", VhdxFormat.VirtualDiskSizeItem, (bytes, entry) => U32(bytes, entry + 20, 0), "virtual disk size is missing");
        yield return Metadata("unknown required item", VhdxFormat.VirtualDiskIdItem, (bytes, entry) => bytes[entry] ^= 1, "required and not known", FailureKind.Unsupported);
        yield return Metadata("disk of no bytes", VhdxFormat.VirtualDiskSizeItem, (bytes, entry) => U64(bytes, Item(bytes, entry), 0), "no whole number");
        yield return Metadata("disk of half a sector", VhdxFormat.VirtualDiskSizeItem, (bytes, entry) => U64(bytes, Item(bytes, entry), DiskByteSize + 256), "no whole number");
        yield return Metadata("disk of 65 TiB", VhdxFormat.VirtualDiskSizeItem, (bytes, entry) => U64(bytes, Item(bytes, entry), 65UL << 40), "no whole number");
        yield return Metadata("disk larger than the BAT", VhdxFormat.VirtualDiskSizeItem, (bytes, entry) => U64(bytes, Item(bytes, entry), 1UL << 40), "do not fit the region");
        yield return Metadata("disk of too many blocks", VhdxFormat.VirtualDiskSizeItem, (bytes, entry) => U64(bytes, Item(bytes, entry), 64UL << 40), "blocks (up to", FailureKind.Unsupported);
        yield return Metadata("block size of 3 MiB", VhdxFormat.FileParametersItem, (bytes, entry) => U32(bytes, Item(bytes, entry), 3 * Mib), "no power of two");
        yield return Metadata("block size of 0", VhdxFormat.FileParametersItem, (bytes, entry) => U32(bytes, Item(bytes, entry), 0), "no power of two");
        yield return Metadata("block size of 512 MiB", VhdxFormat.FileParametersItem, (bytes, entry) => U32(bytes, Item(bytes, entry), 512 * Mib), "no power of two");
        yield return Metadata("sectors of 1024 bytes", VhdxFormat.LogicalSectorSizeItem, (bytes, entry) => U32(bytes, Item(bytes, entry), 1024), "sector sizes 1024");
        yield return Metadata("differencing", VhdxFormat.FileParametersItem, (bytes, entry) => Differencing(bytes, entry), @"..\base.vhdx", FailureKind.Unsupported);

        yield return Entry("BAT entry in the header area", 1, 0x0000_0006, "inside the header section");
        yield return Entry("BAT entry over the log", 1, (1UL << 20) | 6, "overlaps the region or log");
        yield return Entry("BAT entry over the metadata", 1, (2UL << 20) | 6, "overlaps the region");
        yield return Refused(
            "BAT entry over the BAT", bytes => { U64(bytes, BatOffset, 0); U64(bytes, BatOffset + 8, (3UL << 20) | 6); },
            "overlaps the region or log at 3145728");
        yield return Entry("BAT entry on another block", 1, (4UL << 20) | 6, "share the bytes");
        yield return Entry("BAT entry half on another block", 1, (5UL << 20) | 6, "share the bytes");
        yield return Entry("BAT entry behind the end", 1, (9UL << 20) | 6, "behind the end of the file");
        yield return Entry("BAT entry at the largest place", 1, 0xFFFF_FFFF_FFF0_0006, "behind the end of the file");
        yield return Entry("BAT entry with reserved bits", 1, (6UL << 20) | 0x100 | 6, "no meaning");
        yield return Entry("BAT entry of state 4", 1, 4, "no meaning");
        yield return Entry("BAT entry of state 5", 1, 5, "no meaning");
        yield return Entry("BAT entry partially present", 1, (6UL << 20) | 7, "no meaning");
        yield return new("cut in the last block", ImageFormat.VhdxDynamic, bytes => bytes[..^4096], FailureKind.Damaged, "behind the end of the file");
        yield return new("cut in the BAT", ImageFormat.VhdxDynamic, bytes => bytes[..(BatOffset + 4096)], FailureKind.Damaged, "behind the end of the file");
        yield return new("cut behind the headers", ImageFormat.VhdxDynamic, bytes => bytes[..Mib], FailureKind.Damaged, "behind the end of the file");
    }

    private static IEnumerable<HostileImage> VhdxLog()
    {
        HostileImage Log(string name, Action<byte[], byte[]> mutateEntry, FailureKind? refusal, string says) =>
            new(name, ImageFormat.VhdxDynamic, bytes => { AddLog(bytes, mutateEntry); return bytes; }, refusal, says);

        yield return Log("log entry that is sound", (_, _) => { }, null, "was replayed (1 entries)");
        yield return Log("log entry with a wrong checksum", (_, entry) => entry[5000] ^= 1, null, "holds no valid entry");
        yield return Log("log entry of another log", (_, entry) => Resum(entry, e => e[33] ^= 1), null, "holds no valid entry");
        yield return Log("log entry with a Tail elsewhere", (_, entry) => Resum(entry, e => U32(e, 12, 8192)), null, "holds no valid entry");
        yield return Log("log entry with a Tail of 4 GiB", (_, entry) => Resum(entry, e => U32(e, 12, 0xFFFF_F000)), null, "holds no valid entry");
        yield return Log("log entry with a torn data sector", (_, entry) => Resum(entry, e => e[^1] ^= 1), null, "holds no valid entry");
        yield return Log("log entry with too many descriptors", (_, entry) => Resum(entry, e => U32(e, 24, 0x7FFF_FFFF)), null, "holds no valid entry");
        yield return Log("log entry with negative descriptors", (_, entry) => Resum(entry, e => U32(e, 24, 0xFFFF_FFFF)), null, "holds no valid entry");
        yield return Log("log entry longer than the log", (_, entry) => Resum(entry, e => U32(e, 8, 2 * Mib)), null, "holds no valid entry");
        yield return Log("log entry that writes the headers", (_, entry) => Resum(entry, e => U64(e, 64 + 16, 0x10000)), FailureKind.Damaged, "where the log may not reach");
        yield return Log("log entry that writes behind the end", (_, entry) => Resum(entry, e => U64(e, 64 + 16, 1UL << 40)), FailureKind.Damaged, "where the log may not reach");
        yield return Log("log entry that writes at a negative place", (_, entry) => Resum(entry, e => U64(e, 64 + 16, 0xFFFF_FFFF_FFFF_F000)), FailureKind.Damaged, "where the log may not reach");
        yield return Log("log entry that writes between sectors", (_, entry) => Resum(entry, e => U64(e, 64 + 16, BatOffset + 512)), FailureKind.Damaged, "where the log may not reach");
        yield return Log("log entry that wants an endless file", (_, entry) => Resum(entry, e => U64(e, 56, 1UL << 60)), FailureKind.Damaged, "wants a file of");
        yield return Log("log entry of a longer file", (_, entry) => Resum(entry, e => U64(e, 48, 1UL << 30)), FailureKind.Damaged, "knows the file as");
        yield return Log(
            "log entry that zeroes the whole file",
            (_, entry) => Resum(entry, e => { "zero"u8.CopyTo(e.AsSpan(64)); U64(e, 72, 1UL << 50); }), FailureKind.Damaged, "where the log may not reach");
        yield return Log(
            "log entry that brings in a hostile BAT",
            (_, entry) => Resum(entry, e => U64(e, 64 + 8, 6)), FailureKind.Damaged, "inside the header section");
        yield return new("log in use and empty", ImageFormat.VhdxDynamic,
            bytes => { bytes.AsSpan(Mib, Mib).Clear(); Headers(bytes, header => header with { LogId = Guid.NewGuid() }); return bytes; },
            null, "holds no valid entry");
    }

    private static IEnumerable<HostileImage> VhdDynamic()
    {
        HostileImage Refused(string name, Action<byte[]> mutate, string says, FailureKind kind = FailureKind.Damaged) =>
            new(name, ImageFormat.VhdDynamic, bytes => { mutate(bytes); return bytes; }, kind, says);
        HostileImage Opens(string name, Action<byte[]> mutate, string says) =>
            new(name, ImageFormat.VhdDynamic, bytes => { mutate(bytes); return bytes; }, null, says);
        HostileImage Footers(string name, Action<byte[]> mutate, string says, FailureKind kind = FailureKind.Damaged) =>
            Refused(name, bytes => { VhdFooterEdit(bytes, 0, mutate); VhdFooterEdit(bytes, bytes.Length - 512, mutate); }, says, kind);
        HostileImage Header(string name, Action<byte[]> mutate, string says, FailureKind kind = FailureKind.Damaged) =>
            Refused(name, bytes => VhdHeaderEdit(bytes, mutate), says, kind);
        HostileImage Entry(string name, uint entry, string says) =>
            Refused(name, bytes => BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(VhdTable + 4), entry), says);

        yield return Opens("footer at the end damaged", bytes => bytes[^100] ^= 1, "at the end of the file is damaged");
        yield return Opens("footer at the end overwritten", bytes => bytes.AsSpan(bytes.Length - 512).Fill(0x55), "at the end of the file is damaged");
        yield return Opens("copy of the footer damaged", bytes => bytes[100] ^= 1, "at byte 0 is damaged");
        yield return Opens("footers differ", bytes => VhdFooterEdit(bytes, bytes.Length - 512, f => f[24] ^= 1), "copies of the VHD footer differ");
        yield return Refused("both footers damaged", bytes => { bytes[100] ^= 1; bytes[^100] ^= 1; }, "checksum is wrong");
        yield return Refused("footer at the end says fixed", bytes => VhdFooterEdit(bytes, bytes.Length - 512, f => f[63] = 2), "fixed, the one at byte 0 dynamic");
        yield return Refused("footers of two images", bytes => VhdFooterEdit(bytes, bytes.Length - 512, f => f[70] ^= 1), "belong to different images");
        yield return Footers("footer version 2", f => f[13] = 2, "version 2.0", FailureKind.Unsupported);
        yield return Footers("disk type 7", f => f[63] = 7, "disk type 7", FailureKind.Unsupported);
        yield return Footers("disk of no bytes", f => f.AsSpan(48, 8).Clear(), "no whole number");
        yield return Footers("disk of 2 EiB", f => f[48] = 0x20, "no whole number");
        yield return Footers("disk larger than the table", f => f[51] = 1, "do not hold a disk");
        yield return Footers("header offset behind the end", f => f[20] = 0x7F, "is not inside the file");
        yield return Footers("header offset at the largest place", f => f.AsSpan(16, 8).Fill(0xFF), "is not inside the file");
        yield return Footers("header offset unaligned", f => f[23] = 1, "is not inside the file");
        yield return Refused("dynamic header damaged", bytes => bytes[600] ^= 1, "cookie or the checksum");
        yield return Header("dynamic header version 2", h => h[25] = 2, "version 2.0", FailureKind.Unsupported);
        yield return Header("block size of 3 MiB", h => h[33] = 0x30, "no power of two");
        yield return Header("block size of 0", h => h[33] = 0, "no power of two");
        yield return Header("2^32 - 1 table entries", h => h.AsSpan(28, 4).Fill(0xFF), "table entries", FailureKind.Unsupported);
        yield return Header("too few table entries", h => h[31] = 3, "do not hold a disk");
        yield return Header("table behind the end", h => h[18] = 1, "overlaps the headers or the end");
        yield return Header("table over the dynamic header", h => { h[22] = 2; h[23] = 0; }, "overlaps the headers or the end");
        yield return Header("table at byte 0", h => { h[22] = 0; h[23] = 0; }, "overlaps the headers or the end");
        yield return Refused(
            "differencing",
            bytes =>
            {
                VhdFooterEdit(bytes, 0, f => f[63] = 4);
                VhdFooterEdit(bytes, bytes.Length - 512, f => f[63] = 4);
                VhdHeaderEdit(bytes, h => Encoding.BigEndianUnicode.GetBytes("base.vhd").CopyTo(h, 64));
            },
            "base.vhd", FailureKind.Unsupported);

        yield return Entry("BAT entry at byte 0", 0, "over the headers");
        yield return Entry("BAT entry over the dynamic header", 1, "over the headers");
        yield return Entry("BAT entry over the table", 3, "over the headers");
        yield return Entry("BAT entry on another block", 7, "share the bytes");
        yield return Entry("BAT entry half on another block", 1007, "share the bytes");
        yield return Entry("BAT entry behind the end", 20000, "behind the end of the file");
        yield return Entry("BAT entry at the largest place", 0xFFFF_FFFE, "behind the end of the file");
        yield return new("cut in the last block", ImageFormat.VhdDynamic, bytes => bytes[..^4096], FailureKind.Damaged, "behind the end of the file");
        yield return new("cut in the table", ImageFormat.VhdDynamic, bytes => bytes[..1600], FailureKind.Damaged, "the end of the file");
        yield return new("cut in the dynamic header", ImageFormat.VhdDynamic, bytes => bytes[..1024], FailureKind.Damaged, "is not inside the file");
    }

    private static IEnumerable<HostileImage> VhdFixed()
    {
        HostileImage Refused(string name, Action<byte[]> mutate, string says, FailureKind kind = FailureKind.Damaged) =>
            new(name, ImageFormat.VhdFixed, bytes => { VhdFooterEdit(bytes, bytes.Length - 512, mutate); return bytes; }, kind, says);

        yield return new("fixed: footer damaged", ImageFormat.VhdFixed, bytes => { bytes[^100] ^= 1; return bytes; }, FailureKind.Damaged, "checksum is wrong");
        yield return Refused("fixed: disk larger than the file", f => f[52] = 1, "the size is wrong or the image was cut off");
        yield return Refused("fixed: disk of a negative size", f => f[48] = 0x80, "the size is wrong");
        yield return Refused("fixed: disk of no bytes", f => f.AsSpan(48, 8).Clear(), "the size is wrong");
        yield return new(
            "fixed: guest plants a dynamic footer at its first sector", ImageFormat.VhdFixed,
            bytes => { bytes.AsSpan(bytes.Length - 512).CopyTo(bytes); VhdFooterEdit(bytes, 0, f => f[63] = 3); return bytes; },
            FailureKind.Damaged, "fixed, the one at byte 0 dynamic");
    }

    private static void U16(byte[] bytes, int at, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(at), value);

    private static void U32(byte[] bytes, int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(at), value);

    private static void U64(byte[] bytes, int at, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(at), value);

    private static void Header(byte[] bytes, int slot, Func<VhdxHeader, VhdxHeader> change)
    {
        Span<byte> span = bytes.AsSpan(slot == 0 ? 0x10000 : 0x20000, 4096);
        change(VhdxHeader.Parse(span)!).WriteTo(span);
    }

    private static void Headers(byte[] bytes, Func<VhdxHeader, VhdxHeader> change)
    {
        Header(bytes, 0, change);
        Header(bytes, 1, change);
    }

    private static void Regions(byte[] bytes, Action<byte[]> change)
    {
        byte[] table = bytes[0x30000..0x40000];
        change(table);
        VhdxChecksum.Store(table);
        table.CopyTo(bytes, 0x30000);
        table.CopyTo(bytes, 0x40000);
    }

    /// <summary>A third region, in the third MiB of block 3's place, which is moved away first.</summary>
    private static void AddRegion(byte[] bytes, bool required)
    {
        U64(bytes, BatOffset + 3 * 8, 0);
        Regions(bytes, table =>
        {
            U32(table, 8, 3);
            Guid.NewGuid().TryWriteBytes(table.AsSpan(16 + 64));
            U64(table, 16 + 64 + 16, 8 * Mib);
            U32(table, 16 + 64 + 24, Mib);
            U32(table, 16 + 64 + 28, required ? 1u : 0);
        });
    }

    private static int MetadataEntry(byte[] bytes, Guid item)
    {
        for (int at = MetadataOffset + 32; ; at += 32)
        {
            if (new Guid(bytes.AsSpan(at, 16)) == item)
            {
                return at;
            }
        }
    }

    private static int Item(byte[] bytes, int entry) => MetadataOffset + BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(entry + 16));

    private static void Differencing(byte[] bytes, int entry)
    {
        bytes[Item(bytes, entry) + 4] = 2;
        int count = BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(MetadataOffset + 10));
        int added = MetadataOffset + 32 * (count + 1);
        VhdxFormat.ParentLocatorItem.TryWriteBytes(bytes.AsSpan(added));
        U32(bytes, added + 16, 0x20000);
        U32(bytes, added + 20, 1000);
        U32(bytes, added + 24, 4);
        U16(bytes, MetadataOffset + 10, (ushort)(count + 1));
        int locator = MetadataOffset + 0x20000;
        byte[] key = Encoding.Unicode.GetBytes("relative_path");
        byte[] value = Encoding.Unicode.GetBytes(@"..\base.vhdx");
        U16(bytes, locator + 18, 1);
        U32(bytes, locator + 20, 100);
        U32(bytes, locator + 24, 200);
        U16(bytes, locator + 28, (ushort)key.Length);
        U16(bytes, locator + 30, (ushort)value.Length);
        key.CopyTo(bytes, locator + 100);
        value.CopyTo(bytes, locator + 200);
    }

    /// <summary>Leaves the image dirty: one entry, which writes the first BAT sector as it is.</summary>
    private static void AddLog(byte[] bytes, Action<byte[], byte[]> mutateEntry)
    {
        var logId = Guid.NewGuid();
        byte[] entry = new byte[VhdxLogEntry.SizeOf(1)];
        VhdxLogEntry.Build(entry, logId, 7, 0, bytes.Length, [BatOffset], bytes.AsSpan(BatOffset, 4096));
        mutateEntry(bytes, entry);
        bytes.AsSpan(Mib, Mib).Clear();
        entry.CopyTo(bytes, Mib);
        Headers(bytes, header => header with { LogId = logId });
    }

    private static void Resum(byte[] entry, Action<byte[]> change)
    {
        change(entry);
        VhdxChecksum.Store(entry);
    }

    private static void VhdFooterEdit(byte[] bytes, int at, Action<byte[]> change)
    {
        byte[] footer = bytes[at..(at + 512)];
        change(footer);
        BinaryPrimitives.WriteUInt32BigEndian(footer.AsSpan(64), VhdChecksum.Compute(footer, 64));
        footer.CopyTo(bytes, at);
    }

    private static void VhdHeaderEdit(byte[] bytes, Action<byte[]> change)
    {
        byte[] header = bytes[512..1536];
        change(header);
        BinaryPrimitives.WriteUInt32BigEndian(header.AsSpan(36), VhdChecksum.Compute(header, 36));
        header.CopyTo(bytes, 512);
    }
}
