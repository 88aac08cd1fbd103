using System.Security.Cryptography;
using VDiskCrypt.Core;
using VDiskCrypt.Images.Vhd;
using VDiskCrypt.Images.Vhdx;
using VDiskCrypt.Testing;

namespace VDiskCrypt.Images.Tests;

/// <summary>Power fails at every point of a trace, with what was not flushed lost, torn or reordered.</summary>
public sealed class CrashTests
{
    private const int DiskByteSize = 10 << 20;
    private const int Sector = 512;

    /// <summary>A write and where in the trace it began and, if it was forced to the medium, ended; or, without bytes, a flush.</summary>
    private sealed record DiskEvent(int OperationCount, long ByteOffset, byte[]? Written)
    {
        public int? DurableAt { get; set; }
    }

    [Theory]
    [InlineData(ImageFormat.VhdDynamic, 1)]
    [InlineData(ImageFormat.VhdDynamic, 2)]
    [InlineData(ImageFormat.VhdxDynamic, 1)]
    [InlineData(ImageFormat.VhdxDynamic, 2)]
    public void No_flushed_byte_is_lost_wherever_power_fails(ImageFormat format, int seed)
    {
        (SimulatedFile start, SimulatedFile file, List<DiskEvent> events) = Record(format, seed);
        var random = new Random(seed * 1000);
        byte[] read = new byte[DiskByteSize];
        byte[] durable = new byte[DiskByteSize];
        for (int cut = 0; cut <= file.Operations.Count; cut++)
        {
            foreach (double keep in (double[])[0, 0.5, 1])
            {
                SimulatedFile remains = PowerCut.Cut(start, file.Operations, cut, random, keep);
                string where = $"{format}, seed {seed}, cut {cut} of {file.Operations.Count}, keep {keep}";

                using (IBlockDevice readOnly = Open(remains.Copy(isReadOnly: true), format))
                {
                    Check(readOnly, events, cut, where + ", read-only", read, durable);
                }

                using (IBlockDevice image = Open(remains, format))
                {
                    Check(image, events, cut, where, read, durable);
                    CheckFreshBlock(image, where);
                }

                using IBlockDevice again = Open(remains.Copy(isReadOnly: true), format);
                Check(again, events, cut, where + ", again", read, durable, LastBlock(again));
            }
        }
    }

    [Theory]
    [InlineData(ImageFormat.VhdDynamic)]
    [InlineData(ImageFormat.VhdxDynamic)]
    public void Qemu_reads_what_remains_wherever_power_fails(ImageFormat format)
    {
        ExternalTool.Require("qemu-img");
        (SimulatedFile start, SimulatedFile file, List<DiskEvent> events) = Record(format, seed: 3);
        var random = new Random(3);
        byte[] read = new byte[DiskByteSize];
        byte[] durable = new byte[DiskByteSize];
        using var scratch = new ScratchFolder();
        for (int cut = 0; cut <= file.Operations.Count; cut += 3)
        {
            SimulatedFile remains = PowerCut.Cut(start, file.Operations, cut, random, keep: random.Next(3) / 2.0);
            remains.SaveTo(scratch["disk"]);
            if (format == ImageFormat.VhdxDynamic)
            {
                // 0: no errors. The replay happens at open, so that a second check finds a clean image.
                ExternalTool.Run("qemu-img", "check", "-r", "all", "-f", "vhdx", scratch["disk"]).Succeeded();
                ExternalTool.Run("qemu-img", "check", "-f", "vhdx", scratch["disk"]).Succeeded();
            }

            ExternalTool.Run(
                "qemu-img", "convert", "-f", format.QemuName(), "-O", "raw", scratch["disk"], scratch["raw"]).Succeeded();
            using DiskImage raw = ImageFormats.Open(scratch["raw"], ImageAccess.ReadOnly, ImageFormat.Raw);
            Check(raw, events, cut, $"{format}, qemu, cut {cut}", read, durable);
        }
    }

    [Theory]
    [InlineData(ImageFormat.VhdDynamic)]
    [InlineData(ImageFormat.VhdxDynamic)]
    public void An_image_survives_host_failures_in_between(ImageFormat format)
    {
        for (int seed = 0; seed < 20; seed++)
        {
            var random = new Random(seed);
            SimulatedFile file = Create(format);
            byte[] model = new byte[DiskByteSize];
            bool[] uncertain = new bool[DiskByteSize / Sector];
            IBlockDevice image = Open(file, format);
            file.Before = _ =>
            {
                if (random.Next(12) == 0)
                {
                    throw new VDiskException(FailureKind.NoSpace, "no room (simulated)");
                }
            };
            for (int step = 0; step < 120; step++)
            {
                (long byteOffset, byte[] bytes) = RandomWrite(random);
                try
                {
                    image.Write(byteOffset, bytes, forceUnitAccess: random.Next(8) == 0);
                    bytes.CopyTo(model, byteOffset);
                    uncertain.AsSpan((int)byteOffset / Sector, bytes.Length / Sector).Clear();
                    if (random.Next(6) == 0)
                    {
                        image.Flush();
                    }
                }
                catch (VDiskException failure) when (failure.Kind == FailureKind.NoSpace)
                {
                    // A failed write leaves old bytes, new ones, or a mix.
                    uncertain.AsSpan((int)byteOffset / Sector, bytes.Length / Sector).Fill(true);
                }
            }

            file.Before = null;
            image.Dispose();
            using IBlockDevice reopened = Open(file.Copy(isReadOnly: true), format);
            byte[] read = new byte[DiskByteSize];
            reopened.Read(0, read);
            for (int sector = 0; sector < uncertain.Length; sector++)
            {
                Assert.True(
                    uncertain[sector] || read.AsSpan(sector * Sector, Sector).SequenceEqual(model.AsSpan(sector * Sector, Sector)),
                    $"{format}, seed {seed}, sector {sector}");
            }
        }
    }

    internal static SimulatedFile Create(ImageFormat format)
    {
        var file = new SimulatedFile();
        if (format == ImageFormat.VhdDynamic)
        {
            VhdFile.CreateDynamic(file, DiskByteSize);
        }
        else
        {
            VhdxImage.Create(file, DiskByteSize, isFixed: false, blockByteSize: 1 << 20);
        }

        file.Operations.Clear();
        return file;
    }

    internal static IBlockDevice Open(IHostFile file, ImageFormat format) =>
        format == ImageFormat.VhdDynamic ? VhdFile.TryOpen(file, [], out _)! : VhdxImage.Open(file);

    private static (SimulatedFile Start, SimulatedFile File, List<DiskEvent> Events) Record(ImageFormat format, int seed)
    {
        var random = new Random(seed);
        SimulatedFile file = Create(format);
        SimulatedFile start = file.Copy();
        var events = new List<DiskEvent>();
        for (int session = 0; session < 2; session++)
        {
            using IBlockDevice image = Open(file, format);
            for (int step = 0; step < 25; step++)
            {
                (long byteOffset, byte[] bytes) = RandomWrite(random);
                events.Add(new DiskEvent(file.Operations.Count, byteOffset, bytes));
                bool isForced = random.Next(10) == 0;
                image.Write(byteOffset, bytes, isForced);
                events[^1].DurableAt = isForced ? file.Operations.Count : null;
                if (random.Next(4) == 0)
                {
                    image.Flush();
                    events.Add(new DiskEvent(file.Operations.Count, 0, null));
                }
            }
        }

        events.Add(new DiskEvent(file.Operations.Count, 0, null));
        return (start, file, events);
    }

    private static (long ByteOffset, byte[] Bytes) RandomWrite(Random random)
    {
        // The last block stays empty: what is written there after the crash is checked by CheckFreshBlock.
        int sectorCount = random.Next(1, 40);
        long sector = random.Next((DiskByteSize - (2 << 20)) / Sector - sectorCount);
        return (sector * Sector, RandomNumberGenerator.GetBytes(sectorCount * Sector));
    }

    private static Range LastBlock(IBlockDevice image) => ((int)image.ByteLength - (2 << 20))..(int)image.ByteLength;

    /// <summary>Each sector holds what the last flush before the cut made durable, or something written after it.</summary>
    private static void Check(
        IBlockDevice image, List<DiskEvent> events, int cut, string where, byte[] read, byte[] durable, Range? except = null)
    {
        image.Read(0, read);
        durable.AsSpan().Clear();
        int lastFlush = events.FindLastIndex(e => e.Written is null && e.OperationCount <= cut);
        for (int i = 0; i < events.Count; i++)
        {
            if (events[i].Written is byte[] written && (i < lastFlush || events[i].DurableAt <= cut))
            {
                written.CopyTo(durable, events[i].ByteOffset);
            }
        }

        if (except is Range range)
        {
            read.AsSpan(range).CopyTo(durable.AsSpan(range));
        }

        if (read.AsSpan().SequenceEqual(durable))
        {
            return;
        }

        DiskEvent[] later = [.. events.Skip(lastFlush + 1).Where(e => e.Written is not null && e.OperationCount < cut)];
        for (int position = 0; position < DiskByteSize; position += Sector)
        {
            ReadOnlySpan<byte> sector = read.AsSpan(position, Sector);
            if (!sector.SequenceEqual(durable.AsSpan(position, Sector)) && !IsIn(sector, later, position))
            {
                Assert.Fail($"{where}: the sector at {position} holds neither flushed nor later bytes");
            }
        }
    }

    private static bool IsIn(ReadOnlySpan<byte> sector, DiskEvent[] writes, int position)
    {
        foreach (DiskEvent write in writes)
        {
            if (position >= write.ByteOffset && position < write.ByteOffset + write.Written!.Length &&
                sector.SequenceEqual(write.Written.AsSpan((int)(position - write.ByteOffset), Sector)))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>A block allocated after the crash shows nothing of what the crash left behind the last block.</summary>
    private static void CheckFreshBlock(IBlockDevice image, string where)
    {
        byte[] block = new byte[2 << 20];
        image.Write(image.ByteLength - block.Length + Sector, [1, 2, 3, 4]);
        image.Read(image.ByteLength - block.Length, block);
        Assert.True(block.AsSpan(Sector, 4).SequenceEqual((ReadOnlySpan<byte>)[1, 2, 3, 4]), where);
        block.AsSpan(Sector, 4).Clear();
        Assert.False(block.AsSpan().ContainsAnyExcept((byte)0), where + ": a new block shows old bytes");
    }
}
