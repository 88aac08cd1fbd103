using System.Diagnostics;
using System.Text.Json.Nodes;
using VDiskCrypt.Core;
using VDiskCrypt.Crypto;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Luks.Tests;

public sealed class LuksVolumeDeviceTests : IDisposable
{
    private const int DataByteOffset = 1 << 20;
    private const int DataByteLength = 1 << 20;

    private readonly SecretMemory _key = AesXtsKey.Generate(64);

    public static TheoryData<int> SectorByteSizes() => [512, 1024, 2048, 4096];

    public void Dispose() => _key.Dispose();

    [Theory]
    [MemberData(nameof(SectorByteSizes))]
    public void Each_sector_is_encrypted_under_its_number_in_units_of_512_bytes(int sectorByteSize)
    {
        MemoryDevice below = Format(sectorByteSize, out LuksHeader header);
        using LuksVolumeDevice volume = LuksVolumeDevice.Open(header, _key, below);
        byte[] plain = Bytes(1, 64 * 1024);
        volume.Write(0, plain);
        using var cipher = new AesXtsCipher(_key, "fallback");
        for (int at = 0; at < plain.Length; at += sectorByteSize)
        {
            var expected = new byte[sectorByteSize];
            cipher.EncryptUnit((ulong)at / 512, plain.AsSpan(at, sectorByteSize), expected);
            Assert.Equal(expected, below.Bytes.AsSpan(DataByteOffset + at, sectorByteSize).ToArray());
        }

        Assert.Equal(DataByteLength, volume.ByteLength);
        Assert.Equal(sectorByteSize, volume.BlockByteSize);
    }

    [Fact]
    public void The_tweak_offset_of_the_segment_is_added()
    {
        MemoryDevice below = Format(4096, out LuksHeader header, json => json["segments"]!["0"]!["iv_tweak"] = "18446744073709551610");
        using LuksVolumeDevice volume = LuksVolumeDevice.Open(header, _key, below);
        byte[] plain = Bytes(1, 8192);
        volume.Write(0, plain);
        using var cipher = new AesXtsCipher(_key);
        var expected = new byte[4096];
        cipher.EncryptUnit(ulong.MaxValue - 5, plain.AsSpan(0, 4096), expected);
        Assert.Equal(expected, below.Bytes.AsSpan(DataByteOffset, 4096).ToArray());
        cipher.EncryptUnit(2, plain.AsSpan(4096), expected);
        Assert.Equal(expected, below.Bytes.AsSpan(DataByteOffset + 4096, 4096).ToArray());
    }

    [Theory]
    [MemberData(nameof(SectorByteSizes))]
    public void Any_sequence_of_requests_reads_as_plain_memory_would(int sectorByteSize)
    {
        MemoryDevice below = Format(sectorByteSize, out LuksHeader header);
        using LuksVolumeDevice volume = LuksVolumeDevice.Open(header, _key, below);
        int seed = Environment.TickCount;
        var random = new Random(seed);
        var model = new byte[DataByteLength];
        volume.WriteZeroes(0, DataByteLength);
        for (int i = 0; i < 1500; i++)
        {
            int count = random.Next(4) switch { 0 => random.Next(40), 1 => random.Next(9000), 2 => 16 * random.Next(600), _ => 4096 };
            int at = random.Next(DataByteLength - count + 1);
            at = random.Next(3) switch { 0 => at / 4096 * 4096, 1 => at / 16 * 16, _ => at };
            switch (random.Next(5))
            {
                case 0 or 1:
                    byte[] data = Bytes(random.Next(), count);
                    volume.Write(at, data, forceUnitAccess: random.Next(2) == 0);
                    data.CopyTo(model, at);
                    break;
                case 2:
                    volume.WriteZeroes(at, count);
                    model.AsSpan(at, count).Clear();
                    break;
                default:
                    var read = new byte[count];
                    volume.Read(at, read);
                    Assert.True(model.AsSpan(at, count).SequenceEqual(read), $"seed {seed}, step {i}, {count} bytes at {at}");
                    break;
            }
        }

        var all = new byte[DataByteLength];
        volume.Read(0, all);
        Assert.True(model.AsSpan().SequenceEqual(all), $"seed {seed}");
    }

    [Fact]
    public void A_write_of_more_than_a_mebibyte_goes_down_in_pieces_and_is_flushed_once_where_forced()
    {
        const int Length = 3 << 20;
        MemoryDevice below = Format(4096, out LuksHeader header, dataByteLength: Length);
        using LuksVolumeDevice volume = LuksVolumeDevice.Open(header, _key, below);
        below.Log.Clear();
        byte[] data = Bytes(3, Length - 1024 - 5);
        volume.Write(1024, data, forceUnitAccess: true);
        Assert.Equal(
            ["write 1049600 1047552", "write 2097152 1048576", "write 3145728 1048560", "flush", "write fua 4194288 16"], below.Log);
        var read = new byte[data.Length];
        volume.Read(1024, read);
        Assert.Equal(data, read);
        below.Log.Clear();
        volume.Write(4096, data.AsSpan(0, 4096), forceUnitAccess: true);
        volume.Flush();
        Assert.Equal([$"write fua {DataByteOffset + 4096} 4096", "flush"], below.Log);
    }

    [Fact]
    public void A_part_of_a_sector_is_written_without_reading_the_rest()
    {
        MemoryDevice below = Format(4096, out LuksHeader header);
        using LuksVolumeDevice volume = LuksVolumeDevice.Open(header, _key, below);
        below.Log.Clear();
        int reads = 0;
        below.Dawdle = () => reads++;
        volume.Write(512, Bytes(1, 512));
        Assert.Equal([$"write {DataByteOffset + 512} 512"], below.Log);
        Assert.Equal(1, reads);
    }

    [Fact]
    public void Discards_pass_only_with_the_flag_and_only_whole_sectors()
    {
        MemoryDevice below = Format(4096, out LuksHeader header);
        using (LuksVolumeDevice volume = LuksVolumeDevice.Open(header, _key, below))
        {
            below.Log.Clear();
            volume.Discard(0, 65536);
            Assert.Empty(below.Log);
        }

        header.Update(edit => edit.SetFlag(LuksFlag.AllowDiscards, true));
        using LuksVolumeDevice allowed = LuksVolumeDevice.Open(header, _key, below);
        below.Log.Clear();
        allowed.Discard(1000, 9000);
        allowed.Discard(100, 4000);
        Assert.Equal([$"discard {DataByteOffset + 4096} 4096"], below.Log);
    }

    [Fact]
    public void Requests_outside_and_writes_to_a_read_only_device_are_refused()
    {
        MemoryDevice below = Format(4096, out LuksHeader header);
        using LuksVolumeDevice volume = LuksVolumeDevice.Open(header, _key, below);
        foreach ((long at, int count) in ((long, int)[])[(-1, 1), (DataByteLength, 1), (DataByteLength - 1, 2), (long.MaxValue, 1), (long.MinValue, 4096)])
        {
            Assert.Equal(FailureKind.Internal, Assert.Throws<VDiskException>(() => volume.Read(at, new byte[count])).Kind);
            Assert.Equal(FailureKind.Internal, Assert.Throws<VDiskException>(() => volume.Write(at, new byte[count])).Kind);
            Assert.Equal(FailureKind.Internal, Assert.Throws<VDiskException>(() => volume.WriteZeroes(at, count)).Kind);
            Assert.Equal(FailureKind.Internal, Assert.Throws<VDiskException>(() => volume.Discard(at, count)).Kind);
        }

        volume.Read(DataByteLength, []);
        volume.Write(DataByteLength, []);
        using var readOnly = new MemoryDevice(below.Bytes) { IsReadOnly = true };
        using LuksVolumeDevice guarded = LuksVolumeDevice.Open(header, _key, readOnly);
        Assert.Equal(FailureKind.ReadOnly, Assert.Throws<VDiskException>(() => guarded.Write(0, new byte[16])).Kind);
        Assert.Equal(FailureKind.ReadOnly, Assert.Throws<VDiskException>(() => guarded.WriteZeroes(0, 16)).Kind);
    }

    [Fact]
    public void Another_key_and_a_device_that_was_cut_short_are_refused()
    {
        MemoryDevice below = Format(4096, out LuksHeader header);
        using SecretMemory other = AesXtsKey.Generate(64);
        Assert.Equal(FailureKind.WrongCredential, Assert.Throws<VDiskException>(() => LuksVolumeDevice.Open(header, other, below)).Kind);
        using var cut = new MemoryDevice(below.Bytes[..(DataByteOffset + 4095)]);
        Assert.Equal(FailureKind.Damaged, Assert.Throws<VDiskException>(() => LuksVolumeDevice.Open(header, _key, cut)).Kind);
        using var shorter = new MemoryDevice(below.Bytes[..(DataByteOffset + 4096 + 512)]);
        using LuksVolumeDevice rounded = LuksVolumeDevice.Open(header, _key, shorter);
        Assert.Equal(4096, rounded.ByteLength);
    }

    [Fact]
    public void Dispose_disposes_the_device_only_where_it_owns_it()
    {
        MemoryDevice below = Format(4096, out LuksHeader header);
        LuksVolumeDevice.Open(header, _key, below).Dispose();
        Assert.False(below.IsDisposed);
        LuksVolumeDevice.Open(header, _key, below, ownsDevice: true).Dispose();
        Assert.True(below.IsDisposed);
    }

    [Fact]
    public void Requests_in_the_steady_state_allocate_nothing()
    {
        MemoryDevice below = Format(4096, out LuksHeader header);
        using LuksVolumeDevice volume = LuksVolumeDevice.Open(header, _key, below);
        Assert.SkipWhen(volume.KernelName == "fallback", "the platform's AES allocates");
        using var quiet = new QuietDevice();
        using LuksVolumeDevice measured = LuksVolumeDevice.Open(header, _key, quiet);
        var buffer = new byte[65536];
        long before = 0;
        for (int i = 0; i < 200; i++)
        {
            before = i == 100 ? GC.GetAllocatedBytesForCurrentThread() : before;
            measured.Read(0, buffer);
            measured.Write(4096, buffer);
            measured.Write(513, buffer.AsSpan(0, 3));
            measured.WriteZeroes(8192, 4096);
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    /// <summary>
    /// Two writers of one cipher block, one of its first bytes by read-modify-write, one of the whole block: the bytes that
    /// only the second wrote are always the ones that it wrote last.
    /// </summary>
    [Fact]
    public async Task A_read_modify_write_never_brings_back_bytes_that_another_write_replaced()
    {
        MemoryDevice below = Format(4096, out LuksHeader header);
        using LuksVolumeDevice volume = LuksVolumeDevice.Open(header, _key, below);
        below.Dawdle = () => Thread.SpinWait(200);
        volume.WriteZeroes(0, 8192);
        using var stop = new CancellationTokenSource(TimeSpan.FromSeconds(2));
        Task[] fragments = [.. Enumerable.Range(0, 3).Select(writer => Task.Run(() =>
        {
            var fragment = new byte[2];
            for (byte value = 0; !stop.IsCancellationRequested; value++)
            {
                fragment.AsSpan().Fill(value);
                volume.Write(4096 + (2 * writer), fragment);
                var back = new byte[2];
                volume.Read(4096 + (2 * writer), back);
            }
        }))];
        int rounds = 0;
        await Task.Run(() =>
        {
            var block = new byte[4096];
            var tail = new byte[10];
            for (byte value = 0; !stop.IsCancellationRequested; value++, rounds++)
            {
                block.AsSpan().Fill(value);
                volume.Write(4096, block);
                volume.Read(4096 + 6, tail);
                Assert.All(tail, found => Assert.Equal(value, found));
            }
        });
        await Task.WhenAll(fragments);
        Assert.True(rounds > 100, $"only {rounds} rounds");
    }

    /// <summary>Writers of interleaved single bytes: none loses another's.</summary>
    [Fact]
    public async Task Writers_of_single_bytes_in_one_block_lose_nothing()
    {
        MemoryDevice below = Format(512, out LuksHeader header);
        using LuksVolumeDevice volume = LuksVolumeDevice.Open(header, _key, below);
        below.Dawdle = () => Thread.SpinWait(50);
        volume.WriteZeroes(0, 512);
        await Task.WhenAll(Enumerable.Range(0, 8).Select(writer => Task.Run(() =>
        {
            for (int i = 0; i < 300; i++)
            {
                for (int at = writer; at < 32; at += 8)
                {
                    volume.Write(at, [(byte)(i + at)]);
                }
            }
        })));
        var result = new byte[32];
        volume.Read(0, result);
        Assert.Equal(Enumerable.Range(0, 32).Select(at => (byte)(299 + at)), result);
    }

    [Theory]
    [InlineData(512, 32)]
    [InlineData(512, 64)]
    [InlineData(4096, 32)]
    [InlineData(4096, 64)]
    public void Grub_reads_the_data_that_we_write(int sectorByteSize, int keyByteCount)
    {
        ExternalTool.Require("grub-fstest");
        using var scratch = new ScratchFolder();
        string image = scratch["image"];
        byte[] data = Bytes(9, 128 * 1024);
        using (SecretMemory key = AesXtsKey.Generate(keyByteCount))
        using (var device = new FileDevice(image, 17 << 20))
        {
            LuksHeader header = LuksFormat.Create(device, new LuksFormatParameters { SectorByteSize = sectorByteSize }, key);
            header.AddKeyslot(key, "pass"u8, LuksKdf.ForRandomSecret);
            using LuksVolumeDevice volume = LuksVolumeDevice.Open(header, key, device);
            volume.Write(0, data);
        }

        ExternalTool.Run(
            "grub-fstest", ["-C", image, "cp", "(crypto0)0+256", scratch["plain"]], "pass\n"u8.ToArray(), 30_000).Succeeded();
        Assert.Equal(data, File.ReadAllBytes(scratch["plain"]));
    }

    /// <summary>The kernel's dm-crypt, in a guest.</summary>
    [Fact]
    [Trait("needs", "root")]
    public void The_kernel_reads_what_we_write_and_we_read_what_it_writes()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "the guest needs root to install its kernel");
        string guest = Checkout.Tool("linux-guest");
        using var scratch = new ScratchFolder();
        string image = scratch["image"];
        File.WriteAllText(scratch["key"], "pass");
        byte[] data = Bytes(10, 1 << 20);
        File.WriteAllBytes(scratch["data"], data);
        using var device = new FileDevice(image, 18 << 20);
        LuksHeader header = LuksFormat.Create(device, new LuksFormatParameters(), _key);
        header.AddKeyslot(_key, "pass"u8, LuksKdf.ForRandomSecret);
        using LuksVolumeDevice volume = LuksVolumeDevice.Open(header, _key, device);
        volume.Write(0, data);
        string commands =
            $"modprobe dm-crypt; cryptsetup open --key-file {scratch["key"]} /dev/vda v && "
            + $"cmp -n 1048576 {scratch["data"]} /dev/mapper/v && blockdev --getss /dev/mapper/v | grep -qx 4096 && "
            + $"dd if={scratch["data"]} of=/dev/mapper/v bs=64k count=8 seek=16 conv=fsync && cryptsetup close v";
        ExternalTool.Run(guest, ["-d", image, "-t", "100", "--", commands], null, 110_000).Succeeded();
        var read = new byte[512 * 1024];
        volume.Read(1 << 20, read);
        Assert.Equal(data.AsSpan(0, read.Length).ToArray(), read);
    }

    private static byte[] Bytes(int seed, int count)
    {
        var bytes = new byte[count];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    private MemoryDevice Format(
        int sectorByteSize, out LuksHeader header, Action<JsonNode>? change = null, int dataByteLength = DataByteLength)
    {
        var device = new MemoryDevice(DataByteOffset + dataByteLength);
        var parameters = new LuksFormatParameters { SectorByteSize = sectorByteSize, DataByteOffset = DataByteOffset };
        header = LuksFormat.Create(device, parameters, _key);
        if (change is not null)
        {
            HeaderImage.Change(device, change);
            header = LuksHeader.Read(device);
        }

        return device;
    }

    /// <summary>Takes every write and gives zeros, without allocating.</summary>
    private sealed class QuietDevice : IBlockDevice
    {
        public long ByteLength => DataByteOffset + DataByteLength;

        public int BlockByteSize => 512;

        public bool IsReadOnly => false;

        public void Read(long byteOffset, Span<byte> destination) => destination.Clear();

        public void Write(long byteOffset, ReadOnlySpan<byte> source, bool forceUnitAccess = false)
        {
        }

        public void Flush()
        {
        }

        public void Discard(long byteOffset, long byteCount) => throw new UnreachableException();

        public void WriteZeroes(long byteOffset, long byteCount) => throw new UnreachableException();

        public void Dispose()
        {
        }
    }
}
