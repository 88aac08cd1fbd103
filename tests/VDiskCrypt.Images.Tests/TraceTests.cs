using System.Buffers.Binary;
using VDiskCrypt.Core;
using VDiskCrypt.Images.Vhdx;
using VDiskCrypt.Testing;

namespace VDiskCrypt.Images.Tests;

/// <summary>The order of changes, read off a recorded trace.</summary>
public sealed class TraceTests
{
    private const int Mib = 1 << 20;
    private const long LogOffset = Mib;
    private const long BatOffset = 3 * Mib;

    /// <summary>128 entries of two sectors fill the log of 1 MiB.</summary>
    private const int CommitsPerLog = 128;

    private sealed class Collector : IVhdxReplayTarget
    {
        public Dictionary<long, byte[]> Sectors { get; } = [];

        public void WriteSector(long fileOffset, ReadOnlySpan<byte> sector) => Sectors[fileOffset] = sector.ToArray();

        public void Zero(long fileOffset, long byteCount) => Assert.Fail("no zero descriptors are written here");

        public void Grow(long fileByteLength)
        {
        }
    }

    [Fact]
    public void A_vhdx_table_changes_only_after_its_log_entry_is_durable()
    {
        SimulatedFile file = Commit(blockCount: 60, commitCount: 30, out _);
        int tableWrites = 0;
        for (int i = 0; i < file.Operations.Count; i++)
        {
            if (file.Operations[i] is not FileOperation.Write { ByteOffset: >= BatOffset and < BatOffset + Mib } table)
            {
                continue;
            }

            tableWrites++;
            int logged = LastIndex(file, i, operation => operation is FileOperation.Write { ByteOffset: >= LogOffset and < LogOffset + Mib });
            var entry = (FileOperation.Write)file.Operations[logged];
            var collector = new Collector();
            VhdxLogEntry.Parse(entry.Bytes)!.ApplyTo(collector);
            Assert.Equal(table.Bytes, collector.Sectors[table.ByteOffset]);
            Assert.Contains(file.Operations[(logged + 1)..i], operation => operation is FileOperation.Flush);

            // And the entry only after the data that the table points to: nothing but a flush stands before it.
            Assert.IsType<FileOperation.Flush>(file.Operations[logged - 1]);
        }

        Assert.Equal(30, tableWrites);
    }

    [Fact]
    public void A_log_entry_knows_no_longer_file_than_is_durable_before_it()
    {
        SimulatedFile file = CrashTests.Create(ImageFormat.VhdxDynamic);
        var growing = new GrowingFile(file);
        using (IBlockDevice image = HostileImage.Open(growing, out _))
        {
            // Another writer makes a block right behind the flush that makes this one's data durable.
            image.Write(0, new byte[] { 1 });
            growing.AfterFlush = () => image.Write(8L * Mib, new byte[] { 1 });
            image.Flush();
        }

        long length = 0;
        long durable = 0;
        int entryCount = 0;
        foreach (FileOperation operation in file.Operations)
        {
            switch (operation)
            {
                case FileOperation.Length grown:
                    length = grown.ByteLength;
                    break;
                case FileOperation.Flush:
                    durable = length;
                    break;
                case FileOperation.Write { ByteOffset: >= LogOffset and < LogOffset + Mib } write:
                    Assert.InRange((long)VhdxLogEntry.Parse(write.Bytes)!.FlushedFileOffset, 1, durable);
                    entryCount++;
                    break;
            }
        }

        Assert.Equal(2, entryCount);
    }

    [Fact]
    public void A_vhd_table_changes_only_after_data_bitmap_and_footer_are_durable()
    {
        SimulatedFile file = CrashTests.Create(ImageFormat.VhdDynamic);
        using (IBlockDevice image = CrashTests.Open(file, ImageFormat.VhdDynamic))
        {
            for (int block = 0; block < 5; block++)
            {
                image.Write(block * 2L * Mib, new byte[] { 1 });
                image.Flush();
            }
        }

        int tableWrites = 0;
        for (int i = 0; i < file.Operations.Count; i++)
        {
            if (file.Operations[i] is FileOperation.Write { ByteOffset: >= 1536 and < 2048 })
            {
                tableWrites++;
                Assert.IsType<FileOperation.Flush>(file.Operations[i - 1]);
                Assert.IsType<FileOperation.Flush>(file.Operations[i + 1]);
            }
        }

        Assert.Equal(5, tableWrites);
    }

    [Fact]
    public void A_closed_vhdx_has_an_empty_log_and_new_ids_for_what_changed()
    {
        SimulatedFile file = CrashTests.Create(ImageFormat.VhdxDynamic);
        VhdxHeader before = Header(file);
        using (IBlockDevice image = CrashTests.Open(file, ImageFormat.VhdxDynamic))
        {
            image.Write(0, [1]);
            VhdxHeader written = Header(file);
            Assert.NotEqual(before.FileWriteId, written.FileWriteId);
            Assert.NotEqual(before.DataWriteId, written.DataWriteId);
            Assert.Equal(Guid.Empty, written.LogId);

            // The headers came before anything else of the file.
            Assert.IsType<FileOperation.Write>(file.Operations[0]);
            Assert.Equal(VhdxFormat.FirstHeaderOffset, ((FileOperation.Write)file.Operations[0]).ByteOffset);
            image.Flush();
            Assert.NotEqual(Guid.Empty, Header(file).LogId);
        }

        Assert.Equal(Guid.Empty, Header(file).LogId);
        Assert.IsType<FileOperation.Flush>(file.Operations[^1]);
    }

    [Fact]
    public void The_log_wraps_and_is_replayed_wherever_power_fails()
    {
        ExternalTool.Require("qemu-img");
        SimulatedFile start = null!;
        SimulatedFile file = Commit(blockCount: 300, commitCount: CommitsPerLog + 40, out start);
        var random = new Random(1);
        using var scratch = new ScratchFolder();
        for (int round = 0; round < 120; round++)
        {
            int cut = random.Next(file.Operations.Count * 2 / 3, file.Operations.Count);
            SimulatedFile remains = PowerCut.Cut(start, file.Operations, cut, random, keep: random.Next(3) / 2.0);
            if (round % 15 == 0)
            {
                remains.SaveTo(scratch["disk"]);
                ExternalTool.Run("qemu-img", "check", "-r", "all", "-f", "vhdx", scratch["disk"]).Succeeded();
                using DiskImage mended = ImageFormats.Open(scratch["disk"], ImageAccess.ReadOnly);
                Assert.Empty(mended.Notices);
                CheckCommitted(mended, file.Operations, cut, $"qemu, cut {cut}");
            }

            using VhdxImage image = VhdxImage.Open(remains);
            CheckCommitted(image, file.Operations, cut, $"cut {cut}");
        }
    }

    [Fact]
    public void More_table_sectors_than_an_entry_holds_become_durable_in_one_flush()
    {
        // 512 table entries a sector, blocks of 1 MiB: a sector for each half GiB.
        const int SectorCount = VhdxLog.LargestSectorCount + 10;
        const long Stride = 511L * Mib;
        var file = new SimulatedFile();
        VhdxImage.Create(file, SectorCount * Stride, isFixed: false, blockByteSize: Mib);
        SimulatedFile start = file.Copy();
        file.Operations.Clear();
        using (VhdxImage image = VhdxImage.Open(file))
        {
            for (int i = 0; i < SectorCount; i++)
            {
                image.Write(i * Stride, [(byte)(i + 1)]);
            }

            image.Flush();
        }

        var random = new Random(2);
        byte[] read = new byte[1];
        for (int cut = SectorCount * 2; cut <= file.Operations.Count; cut++)
        {
            using VhdxImage image = VhdxImage.Open(PowerCut.Cut(start, file.Operations, cut, random, keep: random.Next(3) / 2.0));
            for (int i = 0; i < SectorCount; i++)
            {
                image.Read(i * Stride, read);
                Assert.True(read[0] == i + 1 || (read[0] == 0 && cut < file.Operations.Count), $"cut {cut}, block {i} holds {read[0]}");
            }
        }
    }

    [Fact]
    public void Pending_blocks_are_bounded()
    {
        var file = new SimulatedFile();
        VhdxImage.Create(file, 5000L * Mib, isFixed: false, blockByteSize: Mib);
        file.Operations.Clear();
        using VhdxImage image = VhdxImage.Open(file);
        for (int i = 0; i < 5000; i++)
        {
            image.Write(i * (long)Mib, [1]);
        }

        Assert.Contains(file.Operations, operation => operation is FileOperation.Write { ByteOffset: >= BatOffset and < BatOffset + Mib });
    }

    /// <summary>Writes into one new block after another and flushes now and then; the block's number is its first byte pair.</summary>
    private static SimulatedFile Commit(int blockCount, int commitCount, out SimulatedFile start)
    {
        var file = new SimulatedFile();
        VhdxImage.Create(file, blockCount * (long)Mib, isFixed: false, blockByteSize: Mib);
        start = file.Copy();
        file.Operations.Clear();
        using VhdxImage image = VhdxImage.Open(file);
        byte[] number = new byte[2];
        for (int block = 0; block < commitCount; block++)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(number, (ushort)(block + 1));
            image.Write(block * (long)Mib, number);
            image.Flush();
        }

        return file;
    }

    /// <summary>A block is there when its table write was issued before the cut: then its log entry is durable.</summary>
    private static void CheckCommitted(IBlockDevice image, List<FileOperation> trace, int cut, string where)
    {
        int committed = trace.Take(cut).Count(operation => operation is FileOperation.Write { ByteOffset: >= BatOffset and < BatOffset + Mib });
        byte[] number = new byte[2];
        for (int block = 0; block < image.ByteLength / Mib; block++)
        {
            image.Read(block * (long)Mib, number);
            int found = BinaryPrimitives.ReadUInt16LittleEndian(number);
            Assert.True(found == block + 1 || (found == 0 && block >= committed), $"{where}: block {block} holds {found}, {committed} committed");
        }
    }

    private static VhdxHeader Header(SimulatedFile file) => VhdxHeaderPair.Read(file, []).Current;

    private static int LastIndex(SimulatedFile file, int before, Predicate<FileOperation> match) =>
        file.Operations.FindLastIndex(before, match);
}
