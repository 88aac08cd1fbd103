using System.Buffers.Binary;
using System.Diagnostics;
using VDiskCrypt.Core;
using VDiskCrypt.Images.Vhd;
using VDiskCrypt.Images.Vhdx;

namespace VDiskCrypt.Images.Tests;

public sealed class HostileImageTests
{
    private static readonly Dictionary<ImageFormat, byte[]> ValidImages = new()
    {
        [ImageFormat.VhdFixed] = HostileImage.Valid(ImageFormat.VhdFixed),
        [ImageFormat.VhdDynamic] = HostileImage.Valid(ImageFormat.VhdDynamic),
        [ImageFormat.VhdxDynamic] = HostileImage.Valid(ImageFormat.VhdxDynamic),
    };

    public static TheoryData<string, ImageFormat> Names
    {
        get
        {
            var data = new TheoryData<string, ImageFormat>();
            foreach (HostileImage hostile in HostileImage.All)
            {
                data.Add(hostile.Name, hostile.Format);
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Refuses_or_recovers_as_the_table_says(string name, ImageFormat format)
    {
        HostileImage hostile = HostileImage.All.Single(h => h.Name == name && h.Format == format);
        byte[] bytes = hostile.Mutate((byte[])ValidImages[format].Clone());
        SimulatedFile file = SimulatedFile.FromBytes(bytes);
        foreach (bool isReadOnly in (bool[])[true, false])
        {
            SimulatedFile copy = file.Copy(isReadOnly);
            if (hostile.Refusal is FailureKind kind)
            {
                VDiskException failure = Assert.Throws<VDiskException>(() => HostileImage.Open(copy));
                Assert.Equal(kind, failure.Kind);
                Assert.Contains(hostile.Says, failure.Message);
                Assert.NotNull(failure.Where);
                Assert.Empty(copy.Operations);
                continue;
            }

            using IBlockDevice image = HostileImage.Open(copy, out List<string> notices);
            Assert.Contains(notices, notice => notice.Contains(hostile.Says, StringComparison.Ordinal));
            ExpectFirstBlocks(image);
            if (!isReadOnly)
            {
                // Written to and closed, it is sound again.
                image.Write(3 << 20, [9]);
                image.Dispose();
                using IBlockDevice again = HostileImage.Open(copy.Copy(isReadOnly: true), out notices);
                Assert.Empty(notices);
                ExpectFirstBlocks(again);
            }
        }
    }

    [Fact]
    public void Table_names_are_unique() =>
        Assert.Equal(HostileImage.All.Length, HostileImage.All.Select(h => (h.Name, h.Format)).Distinct().Count());

    [Theory]
    [InlineData(ImageFormat.VhdFixed)]
    [InlineData(ImageFormat.VhdDynamic)]
    [InlineData(ImageFormat.VhdxDynamic)]
    public void Random_damage_ends_in_a_clear_failure_or_a_readable_disk(ImageFormat format)
    {
        byte[] valid = ValidImages[format];
        byte[] read = new byte[64 << 10];
        var clock = Stopwatch.StartNew();
        for (int seed = 0; seed < 3000 && clock.ElapsedMilliseconds < 8000; seed++)
        {
            var random = new Random(seed);
            SimulatedFile file = SimulatedFile.FromBytes(valid);
            for (int i = random.Next(1, 4); i > 0; i--)
            {
                Damage(file, valid.Length, format, random);
            }

            try
            {
                using IBlockDevice image = HostileImage.Open(file.Copy(isReadOnly: random.Next(2) == 0));
                for (long at = 0; at < Math.Min(image.ByteLength, 32 << 20); at += 1 << 20)
                {
                    image.Read(at, read.AsSpan(0, (int)Math.Min(read.Length, image.ByteLength - at)));
                }

                if (!image.IsReadOnly)
                {
                    image.Write(image.ByteLength / 2, read.AsSpan(0, 512));
                }
            }
            catch (VDiskException failure)
            {
                Assert.NotEqual(FailureKind.Internal, failure.Kind);
            }
        }
    }

    private static void ExpectFirstBlocks(IBlockDevice image)
    {
        byte[] read = new byte[2 << 20];
        image.Read(0, read);
        Assert.False(read.AsSpan().ContainsAnyExcept((byte)1));
        image.Read(4 << 20, read);
        Assert.False(read.AsSpan().ContainsAnyExcept((byte)3));
    }

    /// <summary>Puts an interesting number somewhere in the metadata and mends the checksum over it, if there is one.</summary>
    private static void Damage(SimulatedFile file, int fileByteLength, ImageFormat format, Random random)
    {
        int[] places = format switch
        {
            ImageFormat.VhdxDynamic => [0x10000, 0x20000, 0x30000, 0x40000, 2 << 20, (2 << 20) + 0x10000, 3 << 20, 1 << 20],
            ImageFormat.VhdDynamic => [0, 512, 1536, fileByteLength - 512],
            _ => [0, fileByteLength - 512],
        };
        int place = places[random.Next(places.Length)];
        int at = place + random.Next(random.Next(2) == 0 ? 128 : 4) * 4;
        byte[] value = new byte[random.Next(3) switch { 0 => 1, 1 => 4, _ => 8 }];
        switch (random.Next(4))
        {
            case 0:
                random.NextBytes(value);
                break;
            case 1:
                value.AsSpan().Fill(0xFF);
                break;
            case 2:
                value[random.Next(value.Length)] = (byte)(1 << random.Next(8));
                break;
        }

        if (at + value.Length > fileByteLength)
        {
            return;
        }

        file.Apply(new FileOperation.Write(at, value));
        Mend(file, place, format);
    }

    private static void Mend(SimulatedFile file, int place, ImageFormat format)
    {
        if (format == ImageFormat.VhdxDynamic)
        {
            int byteSize = place switch { 0x10000 or 0x20000 => 4096, 0x30000 or 0x40000 => 65536, _ => 0 };
            if (byteSize != 0)
            {
                byte[] structure = new byte[byteSize];
                file.Read(place, structure);
                VhdxChecksum.Store(structure);
                file.Apply(new FileOperation.Write(place, structure));
            }

            return;
        }

        if (place != 1536)
        {
            byte[] structure = new byte[place == 512 ? 1024 : 512];
            int checksumOffset = place == 512 ? 36 : 64;
            file.Read(place, structure);
            BinaryPrimitives.WriteUInt32BigEndian(structure.AsSpan(checksumOffset), VhdChecksum.Compute(structure, checksumOffset));
            file.Apply(new FileOperation.Write(place, structure));
        }
    }
}
