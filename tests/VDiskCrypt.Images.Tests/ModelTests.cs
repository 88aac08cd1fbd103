using VDiskCrypt.Core;
using VDiskCrypt.Images.Vhd;
using VDiskCrypt.Images.Vhdx;
using VDiskCrypt.Testing;

namespace VDiskCrypt.Images.Tests;

/// <summary>Random requests against an array of bytes, one thread and many, over every format.</summary>
public sealed class ModelTests
{
    private const int DiskByteSize = (20 << 20) + 512 * 3;
    private const int Sector = 512;

    [Theory]
    [MemberData(nameof(FormatCase.Data), MemberType = typeof(FormatCase))]
    public void Any_sequence_of_requests_does_what_an_array_does(ImageFormat format)
    {
        using var scratch = new ScratchFolder();
        for (int seed = 0; seed < 4; seed++)
        {
            var random = new Random(seed);
            string path = scratch[$"disk{seed}"];
            byte[] model = new byte[DiskByteSize];
            byte[] buffer = new byte[256 << 10];
            ImageFormats.Create(path, format, DiskByteSize, new ImageCreateOptions { BlockByteSize = 1 << 20 }).Dispose();
            for (int session = 0; session < 3; session++)
            {
                using DiskImage image = ImageFormats.Open(path, ImageAccess.ReadWrite);
                Assert.Empty(image.Notices);
                for (int step = 0; step < 250; step++)
                {
                    Step(image, model, buffer, random, $"{format}, seed {seed}, session {session}, step {step}");
                }
            }

            byte[] read = new byte[DiskByteSize];
            using DiskImage closed = ImageFormats.Open(path, ImageAccess.ReadOnly);
            closed.Read(0, read);
            Assert.True(read.AsSpan().SequenceEqual(model), $"{format}, seed {seed}");
        }
    }

    [Theory]
    [MemberData(nameof(FormatCase.Data), MemberType = typeof(FormatCase))]
    public void Parallel_writers_in_the_same_blocks_lose_nothing(ImageFormat format)
    {
        ExternalTool.Require("qemu-img");
        const int ThreadCount = 6;
        using var scratch = new ScratchFolder();
        byte[] model = new byte[DiskByteSize];
        using (DiskImage image = ImageFormats.Create(
            scratch["disk"], format, DiskByteSize, new ImageCreateOptions { BlockByteSize = 1 << 20 }))
        {
            // Thread t owns the sectors whose number leaves t: all write into every block, most of them first at once.
            var threads = new List<Thread>();
            Exception? failed = null;
            for (int t = 0; t < ThreadCount; t++)
            {
                int owner = t;
                var thread = new Thread(() =>
                {
                    try
                    {
                        RunOwner(image, model, owner, ThreadCount);
                    }
                    catch (Exception failure)
                    {
                        failed = failure;
                    }
                });
                threads.Add(thread);
                thread.Start();
            }

            threads.ForEach(thread => Assert.True(thread.Join(60_000), "a thread hangs"));
            Assert.Null(failed);
            byte[] read = new byte[DiskByteSize];
            image.Read(0, read);
            Assert.True(read.AsSpan().SequenceEqual(model));
        }

        File.WriteAllBytes(scratch["model"], model);
        ExternalTool.Run("qemu-img", "compare", "-f", format.QemuName(), "-F", "raw", scratch["disk"], scratch["model"]).ExpectSame();
        QemuInteropTests.CheckWithQemu(scratch["disk"], format);
    }

    [Fact]
    public void Reads_go_on_while_another_block_is_allocated_or_flushed()
    {
        SimulatedFile file = CrashTests.Create(ImageFormat.VhdxDynamic);
        using IBlockDevice image = CrashTests.Open(file, ImageFormat.VhdxDynamic);
        image.Write(0, [1, 2, 3]);
        using var reached = new ManualResetEventSlim();
        using var proceed = new ManualResetEventSlim();
        foreach (Type stuck in (Type[])[typeof(FileOperation.Length), typeof(FileOperation.Flush)])
        {
            reached.Reset();
            proceed.Reset();
            file.Before = operation =>
            {
                if (operation.GetType() == stuck)
                {
                    reached.Set();
                    proceed.Wait(20_000);
                }
            };
            var writer = new Thread(() =>
            {
                image.Write((stuck == typeof(FileOperation.Length) ? 3 : 5) << 20, [4]);
                image.Flush();
            });
            writer.Start();
            Assert.True(reached.Wait(10_000));
            byte[] read = new byte[3];
            var reader = new Thread(() =>
            {
                image.Read(0, read);
                image.Read(7 << 20, new byte[512]);
            });
            reader.Start();
            bool isDone = reader.Join(5000);
            proceed.Set();
            Assert.True(writer.Join(10_000));
            Assert.True(isDone, $"a read waits for {stuck.Name}");
            Assert.Equal([1, 2, 3], read);
        }

        file.Before = null;
    }

    [Fact]
    public void Flushes_are_shared_and_need_few_flushes_of_the_file()
    {
        foreach ((ImageFormat format, int expected) in new[] { (ImageFormat.VhdDynamic, 2), (ImageFormat.VhdxDynamic, 2) })
        {
            SimulatedFile file = CrashTests.Create(format);
            using IBlockDevice image = CrashTests.Open(file, format);
            image.Write(0, [1]);
            image.Flush();
            file.Operations.Clear();
            for (int block = 1; block < 5; block++)
            {
                image.Write(block * 2L << 20, [1]);
            }

            Assert.DoesNotContain(file.Operations, operation => operation is FileOperation.Flush);
            image.Flush();
            Assert.Equal(expected, file.Operations.Count(operation => operation is FileOperation.Flush));
            file.Operations.Clear();
            image.Write(100, [1], forceUnitAccess: true);
            Assert.True(Assert.IsType<FileOperation.Write>(Assert.Single(file.Operations)).IsDurable);
        }
    }

    [Fact]
    public void An_image_that_is_only_read_does_not_change()
    {
        foreach (ImageFormat format in (ImageFormat[])[ImageFormat.VhdDynamic, ImageFormat.VhdxDynamic])
        {
            SimulatedFile file = CrashTests.Create(format);
            using (IBlockDevice image = CrashTests.Open(file, format))
            {
                image.Read(0, new byte[4096]);
            }

            Assert.DoesNotContain(file.Operations, operation => operation is not FileOperation.Flush);
            Assert.True(file.IsDisposed);
        }
    }

    [Fact]
    public void Sectors_outside_a_vhd_bitmap_read_as_zeros_and_can_be_written()
    {
        SimulatedFile file = SimulatedFile.FromBytes(HostileImage.Valid(ImageFormat.VhdDynamic));

        // Block 0's bitmap: sectors 0 to 7 in use, 8 to 15 not, the rest in use; as Virtual PC leaves one.
        byte[] entry = new byte[4];
        file.Read(1536, entry);
        long bitmapOffset = System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(entry) * 512L;
        file.Apply(new FileOperation.Write(bitmapOffset + 1, [0]));
        byte[] expected = new byte[16 * Sector];
        expected.AsSpan().Fill(1);
        expected.AsSpan(8 * Sector, 8 * Sector).Clear();
        byte[] read = new byte[16 * Sector];
        using IBlockDevice image = VhdFile.TryOpen(file, [], out _)!;
        image.Read(0, read);
        Assert.Equal(expected, read);
        image.Read(7 * Sector + 100, read.AsSpan(0, 3 * Sector));
        Assert.Equal(expected[(7 * Sector + 100)..(10 * Sector + 100)], read[..(3 * Sector)]);
        image.Write(9 * Sector + 10, [7, 8]);
        expected[9 * Sector + 10] = 7;
        expected[9 * Sector + 11] = 8;
        image.Read(0, read);
        Assert.Equal(expected, read);
        image.Flush();

        // A reader that does not look at bitmaps sees the same.
        file.Read(bitmapOffset + Sector, read);
        Assert.Equal(expected, read);
        file.Read(bitmapOffset + 1, entry.AsSpan(0, 1));
        Assert.Equal(0xFF, entry[0]);
    }

    [Fact]
    public void Zeroing_an_unmapped_vhdx_block_says_so_in_the_table()
    {
        SimulatedFile file = SimulatedFile.FromBytes(HostileImage.Valid(ImageFormat.VhdxDynamic));
        byte[] undefined = new byte[8];
        undefined[0] = (byte)PayloadBlockState.Undefined;
        file.Apply(new FileOperation.Write((3 << 20) + 8, undefined));
        using (VhdxImage image = VhdxImage.Open(file))
        {
            image.WriteZeroes(2 << 20, 4096);
        }

        file.Read((3 << 20) + 8, undefined);
        Assert.Equal((byte)PayloadBlockState.Zero, undefined[0]);
    }

    [Fact]
    public void Requests_outside_the_disk_are_refused()
    {
        using var scratch = new ScratchFolder();
        foreach (ImageFormat format in FormatCase.All)
        {
            using (DiskImage image = ImageFormats.Create(scratch[format.ToString()], format, 8 << 20))
            {
                foreach (Action outside in (Action[])
                [
                    () => image.Read(8 << 20, new byte[1]), () => image.Read(-1, new byte[1]), () => image.Write((8 << 20) - 1, new byte[2]),
                    () => image.Write(long.MaxValue, new byte[2]), () => image.Discard(0, (8 << 20) + 1),
                    () => image.WriteZeroes(1, long.MaxValue),
                ])
                {
                    Assert.Equal(FailureKind.Internal, Assert.Throws<VDiskException>(outside).Kind);
                }
            }

            using DiskImage reader = ImageFormats.Open(scratch[format.ToString()], ImageAccess.ReadOnly);
            foreach (Action change in (Action[])
                [() => reader.Write(0, new byte[1]), () => reader.Discard(0, 1), () => reader.WriteZeroes(0, 1)])
            {
                Assert.Equal(FailureKind.ReadOnly, Assert.Throws<VDiskException>(change).Kind);
            }
        }
    }

    private static void Step(DiskImage image, byte[] model, byte[] buffer, Random random, string where)
    {
        // Whole sectors and odd bytes alike; mostly short, now and then across blocks.
        int count = random.Next(20) == 0 ? random.Next(1, buffer.Length) : random.Next(1, 9000);
        int at = random.Next(DiskByteSize - count);
        if (random.Next(2) == 0)
        {
            at = at / Sector * Sector;
            count = Math.Min((count + Sector - 1) / Sector * Sector, DiskByteSize - at);
        }

        Span<byte> part = buffer.AsSpan(0, Math.Min(count, buffer.Length));
        switch (random.Next(16))
        {
            case < 7:
                random.NextBytes(part);
                image.Write(at, part, forceUnitAccess: random.Next(10) == 0);
                part.CopyTo(model.AsSpan(at));
                break;
            case < 13:
                image.Read(at, part);
                Assert.True(part.SequenceEqual(model.AsSpan(at, part.Length)), where);
                break;
            case 13:
                image.WriteZeroes(at, part.Length);
                model.AsSpan(at, part.Length).Clear();
                break;
            case 14:
                // Anything may be read there afterwards, so it is written at once.
                image.Discard(at, part.Length);
                random.NextBytes(part);
                image.Write(at, part);
                part.CopyTo(model.AsSpan(at));
                break;
            default:
                image.Flush();
                break;
        }
    }

    private static void RunOwner(DiskImage image, byte[] model, int owner, int ownerCount)
    {
        var random = new Random(owner);
        byte[] sector = new byte[Sector];
        int sectorCount = DiskByteSize / Sector;
        for (int step = 0; step < 3000; step++)
        {
            int index = random.Next(sectorCount / ownerCount) * ownerCount + owner;
            int at = index * Sector;
            if (random.Next(4) == 0)
            {
                image.Read(at, sector);
                if (!sector.AsSpan().SequenceEqual(model.AsSpan(at, Sector)))
                {
                    throw new InvalidOperationException($"thread {owner} does not find its sector {index}");
                }
            }
            else
            {
                random.NextBytes(sector);
                image.Write(at, sector);
                sector.CopyTo(model, at);
            }

            if (random.Next(300) == 0)
            {
                image.Flush();
            }
        }
    }
}
