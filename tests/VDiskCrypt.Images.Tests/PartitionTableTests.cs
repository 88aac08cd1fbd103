using System.Buffers.Binary;
using VDiskCrypt.Core;
using VDiskCrypt.Testing;

namespace VDiskCrypt.Images.Tests;

public sealed class PartitionTableTests
{
    private const int Mib = 1 << 20;
    private static readonly Guid LinuxFileSystem = new("0FC63DAF-8483-4772-8E79-3D69D8477DE4");

    [Theory]
    [MemberData(nameof(FormatCase.Data), MemberType = typeof(FormatCase))]
    public void Sgdisk_verifies_what_is_made_here(ImageFormat format)
    {
        ExternalTool.Require("sgdisk");
        ExternalTool.Require("qemu-img");
        using var scratch = new ScratchFolder();
        using (DiskImage image = ImageFormats.Create(scratch["disk"], format, (64 * Mib) + 512 * 5))
        {
            PartitionTable table = PartitionTable.CreateGpt(
                image, [new("boot", 5 * Mib + 1, LinuxFileSystem), new("secret data", 20 * Mib), new("rest")]);
            Assert.Equal([1, 2, 3], table.Partitions.Select(p => p.Number));
            Assert.Equal([1 * Mib, 7 * Mib, 27 * Mib], table.Partitions.Select(p => p.ByteOffset));
            Assert.Equal([6 * Mib, 20 * Mib, 36 * Mib], table.Partitions.Select(p => p.ByteLength));
            Assert.Equal(DiskContent.Gpt, ImageFormats.DetectContent(image));
        }

        ExternalTool.Run("qemu-img", "convert", "-f", format.QemuName(), "-O", "raw", scratch["disk"], scratch["raw"]).Succeeded();
        ToolResult verified = ExternalTool.Run("sgdisk", "-v", scratch["raw"]).Succeeded();
        Assert.Contains("No problems found", verified.Output);
        string first = ExternalTool.Run("sgdisk", "-i", "1", scratch["raw"]).Succeeded().Output;
        Assert.Contains("Partition name: 'boot'", first);
        Assert.Contains("0FC63DAF-8483-4772-8E79-3D69D8477DE4", first);
        string second = ExternalTool.Run("sgdisk", "-i", "2", scratch["raw"]).Succeeded().Output;
        Assert.Contains("CA7D7CCB-63ED-4C53-861C-1742536059CC (Linux LUKS)", second);
        Assert.Contains("First sector: 14336", second);
        Assert.Contains("Partition size: 40960 sectors", second);
        Assert.Contains("Partition name: 'secret data'", second);
    }

    [Fact]
    public void Reads_what_sgdisk_makes()
    {
        ExternalTool.Require("sgdisk");
        using var scratch = new ScratchFolder();
        using (ImageFormats.Create(scratch["disk"], ImageFormat.Raw, 64 * Mib))
        {
        }

        ExternalTool.Run(
            "sgdisk", "-n", "1:2048:+10M", "-n", "7:0:0", "-t", "7:8309", "-c", "7:über-geheim", scratch["disk"]).Succeeded();
        using DiskImage image = ImageFormats.Open(scratch["disk"], ImageAccess.ReadOnly);
        PartitionTable table = PartitionTable.TryRead(image)!;
        Assert.Equal(PartitionScheme.Gpt, table.Scheme);
        Assert.Empty(table.Notices);
        Assert.Equal([1, 7], table.Partitions.Select(p => p.Number));
        Assert.Equal((Mib, 10 * Mib), (table.Partitions[0].ByteOffset, table.Partitions[0].ByteLength));
        Assert.Equal("über-geheim", table.Find(7).Name);
        Assert.Equal(PartitionTable.LuksTypeId, table.Find(7).TypeId);
        Assert.Equal(FailureKind.NotFound, Assert.Throws<VDiskException>(() => table.Find(2)).Kind);
    }

    [Theory]
    [InlineData(512)]
    [InlineData(4096)]
    public void Partx_and_loop_devices_agree_on_a_gpt(int sectorByteSize)
    {
        Assert.SkipUnless(Environment.UserName == "root", "needs root, for a loop device");
        ExternalTool.Require("partx");
        using var scratch = new ScratchFolder();
        using (DiskImage image = ImageFormats.Create(scratch["disk"], ImageFormat.Raw, 64 * Mib))
        {
            PartitionTable table = PartitionTable.CreateGpt(image, [new("a", 10 * Mib), new("b")], sectorByteSize);
            new PartitionDevice(image, table.Find(2)).Write(0, "second partition"u8);
            Assert.Equal(sectorByteSize, PartitionTable.TryRead(image)!.SectorByteSize);
        }

        // partx reads the table as the kernel does and adds what it finds; this kernel may have no parser of its own.
        ToolResult seen = ExternalTool.Bash(
            """
            d=$(losetup --sector-size "$2" -f --show "$1") || exit 1
            partx -a $d
            for i in 1 2 3 4 5 6 7 8 9 10; do [ -b ${d}p2 ] && break; sleep 0.1; done
            cat /sys/block/${d#/dev/}/${d#/dev/}p[12]/{start,size}
            head -c 16 ${d}p2
            partx -d $d
            losetup -d $d
            """, scratch["disk"], sectorByteSize.ToString());
        Assert.Equal("2048\n22528\n20480\n106496\nsecond partition", seen.Succeeded().Output);
    }

    [Fact]
    public void A_damaged_copy_of_the_gpt_is_got_over()
    {
        foreach ((int byteOffset, string says) in ((int, string)[])
        [
            (512 + 20, "at the start of the disk is damaged"),
            (1024 + 8, "at the start of the disk is damaged"),
            (16 * Mib - 512 + 60, "at the end of the disk is damaged"),
            (16 * Mib - 512 * 33 + 40, "at the end of the disk is damaged"),
            (510, "protective MBR of the GPT is damaged"),
        ])
        {
            using RawImage disk = Gpt(out SimulatedFile file);
            Flip(file, byteOffset);
            PartitionTable table = PartitionTable.TryRead(disk)!;
            Assert.Contains(table.Notices, notice => notice.Contains(says, StringComparison.Ordinal));
            Assert.Equal(2, table.Partitions.Count);
            Assert.Equal(4 * Mib, table.Find(1).ByteLength);
        }
    }

    [Fact]
    public void Refuses_a_gpt_that_makes_no_sense()
    {
        foreach ((string what, Action<byte[], byte[]> mutate, string says) in ((string, Action<byte[], byte[]>, string)[])
        [
            ("behind the disk", (_, entries) => BinaryPrimitives.WriteInt64LittleEndian(entries.AsSpan(128 + 40), 1 << 30), "leaves the disk"),
            ("negative", (_, entries) => BinaryPrimitives.WriteInt64LittleEndian(entries.AsSpan(128 + 32), -1), "leaves the disk"),
            ("last before first", (_, entries) => BinaryPrimitives.WriteInt64LittleEndian(entries.AsSpan(128 + 40), 3000), "leaves the disk"),
            ("over the table", (_, entries) => BinaryPrimitives.WriteInt64LittleEndian(entries.AsSpan(32), 1), "leaves the disk"),
            ("overlap", (_, entries) => BinaryPrimitives.WriteInt64LittleEndian(entries.AsSpan(128 + 32), 4000), "overlap"),
            ("2^32 - 1 entries", (header, _) => header.AsSpan(80, 4).Fill(0xFF), "both copies"),
            ("entries of 3 bytes", (header, _) => header[84] = 3, "both copies"),
            ("entries behind the disk", (header, _) => header[77] = 1, "both copies"),
            ("entries at a negative place", (header, _) => header[79] = 0xFF, "both copies"),
            ("header of 4 GiB", (header, _) => header.AsSpan(12, 4).Fill(0xFF), "both copies"),
        ])
        {
            using RawImage disk = Gpt(out SimulatedFile file);
            MutateBothCopies(file, mutate);
            VDiskException failure = Assert.Throws<VDiskException>(() => PartitionTable.TryRead(disk));
            Assert.Equal(FailureKind.Damaged, failure.Kind);
            Assert.True(failure.Message.Contains(says, StringComparison.Ordinal), $"{what}: {failure.Message}");
        }
    }

    [Fact]
    public void Refuses_a_protective_mbr_without_a_gpt()
    {
        using RawImage disk = Gpt(out SimulatedFile file);
        file.Apply(new FileOperation.Zero(512, 1024));
        file.Apply(new FileOperation.Zero(16 * Mib - 512 * 33, 512 * 33));
        Assert.Contains("neither copy", Assert.Throws<VDiskException>(() => PartitionTable.TryRead(disk)).Message);
    }

    [Fact]
    public void Partitions_that_do_not_fit_are_refused()
    {
        var file = new SimulatedFile();
        file.SetLength(16 * Mib);
        using var disk = new RawImage(file);
        foreach (NewPartition[] partitions in (NewPartition[][])
        [
            [new("a", 15 * Mib)], [new("a", 14 * Mib), new("b")], [new("a"), new("b")], [new("a", 0)],
            [new(new string('x', 37))], [new("a", long.MaxValue)],
        ])
        {
            Assert.Equal(FailureKind.Usage, Assert.Throws<VDiskException>(() => PartitionTable.CreateGpt(disk, partitions)).Kind);
        }

        Assert.Equal(14 * Mib, PartitionTable.CreateGpt(disk, [new("a", 14 * Mib)]).Find(1).ByteLength);
        Assert.Equal(14 * Mib, PartitionTable.CreateGpt(disk, [new("a")]).Find(1).ByteLength);
    }

    [Fact]
    public void Reads_primary_and_logical_partitions_of_an_mbr_as_partx_does()
    {
        ExternalTool.Require("partx");
        using var scratch = new ScratchFolder();
        Mbr().SaveTo(scratch["disk"]);
        using (DiskImage image = ImageFormats.Open(scratch["disk"], ImageAccess.ReadOnly))
        {
            PartitionTable table = PartitionTable.TryRead(image)!;
            Assert.Equal(PartitionScheme.Mbr, table.Scheme);
            Assert.Equal(
                [(1, 2048L, 2048L, 0x83), (5, 10240L, 2048L, 0x07), (6, 14336L, 1024L, 0x82)],
                table.Partitions.Select(p => (p.Number, p.ByteOffset / 512, p.ByteLength / 512, (int)p.MbrType)));
        }

        string seen = ExternalTool.Run("partx", "-g", "-r", "-o", "NR,START,SECTORS,TYPE", scratch["disk"]).Succeeded().Output;
        Assert.Equal("1 2048 2048 0x83\n2 8192 16384 0x5\n5 10240 2048 0x7\n6 14336 1024 0x82\n", seen);
    }

    [Fact]
    public void Refuses_an_mbr_that_makes_no_sense()
    {
        foreach ((Action<SimulatedFile> mutate, string says) in ((Action<SimulatedFile>, string)[])
        [
            (file => MbrEntry(file, 0, 0, 0x83, 2048, 1 << 30), "leaves the disk"),
            (file => MbrEntry(file, 0, 0, 0x83, uint.MaxValue, uint.MaxValue), "leaves the disk"),
            (file => MbrEntry(file, 0, 2, 0x83, 3000, 2048), "overlap"),
            (file => MbrEntry(file, 8192, 1, 0x05, 0, 2048), "runs in a circle"),
            (file => MbrEntry(file, 8192, 1, 0x05, uint.MaxValue, 2048), "behind the end of the disk"),
            (file => file.Apply(new FileOperation.Zero(8192 * 512 + 510, 2)), "no signature"),
        ])
        {
            SimulatedFile file = Mbr();
            mutate(file);
            using var disk = new RawImage(file);
            VDiskException failure = Assert.Throws<VDiskException>(() => PartitionTable.TryRead(disk));
            Assert.Equal(FailureKind.Damaged, failure.Kind);
            Assert.Contains(says, failure.Message);
        }
    }

    [Fact]
    public void A_disk_without_a_table_has_none()
    {
        var file = new SimulatedFile();
        file.SetLength(16 * Mib);
        using var disk = new RawImage(file);
        Assert.Null(PartitionTable.TryRead(disk));
        file.Apply(new FileOperation.Write(510, [0x55, 0xAA]));
        Assert.Null(PartitionTable.TryRead(disk));
        var random = new Random(1);
        byte[] sector = new byte[2048];
        for (int i = 0; i < 500; i++)
        {
            random.NextBytes(sector);
            sector[510] = 0x55;
            sector[511] = 0xAA;
            file.Apply(new FileOperation.Write(0, sector));
            try
            {
                PartitionTable.TryRead(disk);
            }
            catch (VDiskException failure)
            {
                Assert.Equal(FailureKind.Damaged, failure.Kind);
            }
        }
    }

    [Fact]
    public void A_partition_device_stays_inside_its_partition()
    {
        using RawImage disk = Gpt(out _);
        using var partition = new PartitionDevice(disk, PartitionTable.TryRead(disk)!.Find(1));
        partition.Write(partition.ByteLength - 3, [1, 2, 3]);
        byte[] read = new byte[3];
        disk.Read(5 * Mib - 3, read);
        Assert.Equal([1, 2, 3], read);
        partition.WriteZeroes(partition.ByteLength - 2, 1);
        partition.Read(partition.ByteLength - 3, read);
        Assert.Equal([1, 0, 3], read);
        foreach (Action outside in (Action[])
        [
            () => partition.Read(partition.ByteLength - 2, read), () => partition.Write(partition.ByteLength, read),
            () => partition.Read(-1, read), () => partition.WriteZeroes(0, partition.ByteLength + 1),
            () => partition.Discard(long.MaxValue, 1),
        ])
        {
            Assert.Equal(FailureKind.Internal, Assert.Throws<VDiskException>(outside).Kind);
        }
    }

    private static RawImage Gpt(out SimulatedFile file)
    {
        file = new SimulatedFile();
        file.SetLength(16 * Mib);
        var disk = new RawImage(file);
        PartitionTable.CreateGpt(disk, [new("a", 4 * Mib), new("b")]);
        return disk;
    }

    private static void Flip(SimulatedFile file, int byteOffset)
    {
        byte[] one = new byte[1];
        file.Read(byteOffset, one);
        one[0] ^= 0x40;
        file.Apply(new FileOperation.Write(byteOffset, one));
    }

    private static void MutateBothCopies(SimulatedFile file, Action<byte[], byte[]> mutate)
    {
        foreach ((long headerOffset, long entriesOffset) in ((long, long)[])[(512, 1024), (16 * Mib - 512, 16 * Mib - 512 * 33)])
        {
            byte[] header = new byte[512];
            byte[] entries = new byte[128 * 128];
            file.Read(headerOffset, header);
            file.Read(entriesOffset, entries);
            mutate(header, entries);
            BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(88), Crc32.Compute(entries));
            BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(16), 0);
            BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(16), Crc32.Compute(header.AsSpan(0, 92)));
            file.Apply(new FileOperation.Write(headerOffset, header));
            file.Apply(new FileOperation.Write(entriesOffset, entries));
        }
    }

    /// <summary>A primary partition, and an extended one from sector 8192 with two logical ones.</summary>
    private static SimulatedFile Mbr()
    {
        var file = new SimulatedFile();
        file.SetLength(16 * Mib);
        MbrEntry(file, 0, 0, 0x83, 2048, 2048);
        MbrEntry(file, 0, 1, 0x05, 8192, 16384);
        MbrEntry(file, 8192, 0, 0x07, 2048, 2048);
        MbrEntry(file, 8192, 1, 0x05, 4096, 4096);
        MbrEntry(file, 12288, 0, 0x82, 2048, 1024);
        return file;
    }

    private static void MbrEntry(SimulatedFile file, long tableSector, int index, byte type, uint first, uint count)
    {
        byte[] entry = new byte[16];
        entry[4] = type;
        BinaryPrimitives.WriteUInt32LittleEndian(entry.AsSpan(8), first);
        BinaryPrimitives.WriteUInt32LittleEndian(entry.AsSpan(12), count);
        file.Apply(new FileOperation.Write(tableSector * 512 + 446 + index * 16, entry));
        file.Apply(new FileOperation.Write(tableSector * 512 + 510, [0x55, 0xAA]));
    }
}
