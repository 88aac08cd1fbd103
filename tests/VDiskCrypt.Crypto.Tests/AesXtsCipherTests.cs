using CsCheck;
using VDiskCrypt.Core;
using Xunit;

namespace VDiskCrypt.Crypto.Tests;

public sealed class AesXtsCipherTests
{
    public static TheoryData<string> Kernels() => [.. AesXtsKernels.SupportedNames];

    [Theory]
    [MemberData(nameof(Kernels))]
    public void Sectors_agree_with_the_fallback(string kernel)
    {
        (from keySize in OneOf(32, 64)
         from key in Gen.Byte.Array[keySize]
         from sectorBlocks in Gen.OneOf(OneOf(32, 64, 128, 256), Gen.Int[1, 300])
         from sectors in Gen.Int[0, 20]
         from first in Gen.ULong
         from step in OneOf(0UL, 1UL, 8UL, ulong.MaxValue)
         from seed in Gen.Int
         select (key, sectorByteSize: sectorBlocks * 16, sectors, first, step, seed))
            .Sample(
                t =>
                {
                    using SecretMemory key = SecretMemory.Take(t.key.ToArray());
                    using var tested = new AesXtsCipher(key, kernel);
                    using var trusted = new AesXtsCipher(key, "fallback");
                    byte[] source = Bytes(t.seed, t.sectors * t.sectorByteSize);
                    var expected = new byte[source.Length];
                    var actual = new byte[source.Length];
                    trusted.Encrypt(t.first, t.sectorByteSize, t.step, source, expected);
                    tested.Encrypt(t.first, t.sectorByteSize, t.step, source, actual);
                    Assert.Equal(expected, actual);
                    tested.Decrypt(t.first, t.sectorByteSize, t.step, actual, actual);
                    Assert.Equal(source, actual);
                },
                iter: 300, threads: 1);
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void A_part_of_a_sector_is_what_the_whole_sector_has_there(string kernel)
    {
        using SecretMemory key = SecretMemory.Random(64);
        using var cipher = new AesXtsCipher(key, kernel);
        byte[] plain = Bytes(3, 4096);
        var whole = new byte[4096];
        cipher.Encrypt(40, 4096, 8, plain, whole);
        for (int first = 0; first < 256; first += 5)
        {
            for (int count = 0; first + count <= 256; count += 7)
            {
                byte[] part = plain.AsSpan(first * 16, count * 16).ToArray();
                cipher.EncryptPart(40, first, part, part);
                Assert.Equal(whole.AsSpan(first * 16, count * 16).ToArray(), part);
                cipher.DecryptPart(40, first, part, part);
                Assert.Equal(plain.AsSpan(first * 16, count * 16).ToArray(), part);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void Units_of_every_length_agree_with_the_fallback(string kernel)
    {
        foreach (int keyByteCount in (int[])[32, 64])
        {
            using SecretMemory key = SecretMemory.Random(keyByteCount);
            using var tested = new AesXtsCipher(key, kernel);
            using var trusted = new AesXtsCipher(key, "fallback");
            for (int length = 16; length <= 1040; length++)
            {
                byte[] source = Bytes(length, length);
                var expected = new byte[length];
                var actual = new byte[length];
                UInt128 number = ((UInt128)(ulong)length << 70) | 5;
                trusted.EncryptUnit(number, source, expected);
                tested.EncryptUnit(number, source, actual);
                Assert.Equal(expected, actual);
                tested.DecryptUnit(number, actual, actual);
                Assert.Equal(source, actual);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void A_unit_of_sixteen_mebibytes_is_the_largest(string kernel)
    {
        using SecretMemory key = SecretMemory.Random(64);
        using var cipher = new AesXtsCipher(key, kernel);
        byte[] unit = Bytes(1, AesXtsCipher.LargestUnitByteSize);
        var encrypted = new byte[unit.Length];
        cipher.EncryptUnit(9, unit, encrypted);
        var end = new byte[160];
        cipher.DecryptPart(9, (unit.Length / 16) - 10, encrypted.AsSpan(unit.Length - 160), end);
        Assert.Equal(unit.AsSpan(unit.Length - 160).ToArray(), end);
        Assert.Throws<ArgumentOutOfRangeException>(() => cipher.EncryptUnit(9, new byte[unit.Length + 1], new byte[unit.Length + 1]));
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void The_tweak_counts_in_the_caller_s_steps_and_wraps(string kernel)
    {
        using SecretMemory key = SecretMemory.Random(64);
        using var cipher = new AesXtsCipher(key, kernel);
        byte[] plain = Bytes(5, 3 * 512);
        var together = new byte[plain.Length];
        cipher.Encrypt(ulong.MaxValue - 7, 512, 8, plain, together);
        for (int i = 0; i < 3; i++)
        {
            var alone = new byte[512];
            cipher.EncryptUnit(unchecked(ulong.MaxValue - 7 + (ulong)(8 * i)), plain.AsSpan(i * 512, 512), alone);
            Assert.Equal(together.AsSpan(i * 512, 512).ToArray(), alone);
        }
    }

    [Fact]
    public void Refuses_keys_of_other_sizes_and_equal_halves()
    {
        Assert.Equal(FailureKind.Unsupported, KindOf(new byte[48]));
        Assert.Equal(FailureKind.Unsupported, KindOf(new byte[16]));
        Assert.Equal(FailureKind.NotPermitted, KindOf(new byte[64]));
        Assert.Equal(FailureKind.NotPermitted, KindOf([.. Bytes(1, 16), .. Bytes(1, 16)]));
        using SecretMemory generated = AesXtsKey.Generate(64);
        AesXtsKey.Require(generated.Span);

        static FailureKind KindOf(byte[] bytes)
        {
            using SecretMemory key = SecretMemory.Take(bytes);
            return Assert.Throws<VDiskException>(() => new AesXtsCipher(key)).Kind;
        }
    }

    [Fact]
    public void Refuses_spans_that_overlap_in_part()
    {
        using SecretMemory key = SecretMemory.Random(64);
        using var cipher = new AesXtsCipher(key);
        var buffer = new byte[2048];
        Assert.Throws<ArgumentException>(() => cipher.Encrypt(0, 512, 1, buffer.AsSpan(0, 1024), buffer.AsSpan(16, 1024)));
        Assert.Throws<ArgumentOutOfRangeException>(() => cipher.Encrypt(0, 512, 1, buffer.AsSpan(0, 1000), buffer.AsSpan(0, 1000)));
        Assert.Throws<ArgumentOutOfRangeException>(() => cipher.Encrypt(0, 512, 1, buffer.AsSpan(0, 512), buffer.AsSpan(512, 1024)));
        Assert.Throws<ArgumentOutOfRangeException>(() => cipher.EncryptUnit(0, buffer.AsSpan(0, 15), buffer.AsSpan(16, 15)));
    }

    [Fact]
    public async Task Dispose_waits_for_calls_under_way_and_refuses_later_ones()
    {
        for (int round = 0; round < 20; round++)
        {
            using SecretMemory key = SecretMemory.Random(64);
            var cipher = new AesXtsCipher(key);
            using var started = new CountdownEvent(4);
            int refused = 0;
            Task[] workers = [.. Enumerable.Range(0, 4).Select(_ => Task.Run(() =>
            {
                var buffer = new byte[65536];
                started.Signal();
                try
                {
                    while (true)
                    {
                        cipher.Encrypt(0, 4096, 8, buffer, buffer);
                    }
                }
                catch (ObjectDisposedException)
                {
                    Interlocked.Increment(ref refused);
                }
            }))];
            started.Wait(TestContext.Current.CancellationToken);
            cipher.Dispose();
            cipher.Dispose();
            await Task.WhenAll(workers).WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken);
            Assert.Equal(4, refused);
        }
    }

    [Fact]
    public void Encrypting_allocates_nothing()
    {
        using SecretMemory key = SecretMemory.Random(64);
        using var cipher = new AesXtsCipher(key);
        Assert.SkipWhen(cipher.KernelName == "fallback", "the platform's AES allocates");
        var buffer = new byte[8192];
        cipher.Encrypt(0, 4096, 8, buffer, buffer);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
        {
            cipher.Encrypt(0, 4096, 8, buffer, buffer);
            cipher.DecryptPart(8, 3, buffer.AsSpan(0, 512), buffer.AsSpan(0, 512));
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    private static Gen<T> OneOf<T>(params T[] values) => Gen.Int[0, values.Length - 1].Select(i => values[i]);

    private static byte[] Bytes(int seed, int count)
    {
        var bytes = new byte[count];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
