using System.Buffers.Binary;
using System.Security.Cryptography;
using Xunit;

namespace VDiskCrypt.Crypto.Tests;

public sealed class AntiForensicTests
{
    [Theory]
    [InlineData(KdfHash.Sha1, 64)]
    [InlineData(KdfHash.Sha256, 32)]
    [InlineData(KdfHash.Sha256, 64)]
    [InlineData(KdfHash.Sha384, 64)]
    [InlineData(KdfHash.Sha512, 64)]
    [InlineData(KdfHash.Sha512, 32)]
    public void What_is_split_merges_again_and_only_whole(KdfHash hash, int keyByteCount)
    {
        byte[] key = RandomNumberGenerator.GetBytes(keyByteCount);
        byte[][] stripes = Split(hash, key, 100);
        Assert.Equal(key, Merge(hash, stripes));
        stripes[40][3] ^= 1;
        Assert.NotEqual(key, Merge(hash, stripes));
    }

    /// <summary>The definition, written down once more: LUKS1 on-disk format 1.2.3, section 2.4.</summary>
    [Fact]
    public void The_diffusion_hashes_each_piece_with_its_number()
    {
        var stripe = new byte[40];
        new Random(4).NextBytes(stripe);
        byte[] expected = [.. Hash(0, stripe[..20]), .. Hash(1, stripe[20..])];
        using var splitter = new AntiForensic(KdfHash.Sha1, 40);
        splitter.Absorb(stripe);
        var state = new byte[40];
        splitter.Finish(new byte[40], state);
        Assert.Equal(expected, state);

        static byte[] Hash(uint number, byte[] piece)
        {
            var input = new byte[4 + piece.Length];
            BinaryPrimitives.WriteUInt32BigEndian(input, number);
            piece.CopyTo(input, 4);
            return SHA1.HashData(input);
        }
    }

    private static byte[][] Split(KdfHash hash, byte[] key, int stripeCount)
    {
        using var splitter = new AntiForensic(hash, key.Length);
        var stripes = new byte[stripeCount][];
        for (int i = 0; i < stripeCount - 1; i++)
        {
            stripes[i] = RandomNumberGenerator.GetBytes(key.Length);
            splitter.Absorb(stripes[i]);
        }

        stripes[^1] = new byte[key.Length];
        splitter.Finish(key, stripes[^1]);
        return stripes;
    }

    private static byte[] Merge(KdfHash hash, byte[][] stripes)
    {
        using var splitter = new AntiForensic(hash, stripes[0].Length);
        foreach (byte[] stripe in stripes[..^1])
        {
            splitter.Absorb(stripe);
        }

        var key = new byte[stripes[0].Length];
        splitter.Finish(stripes[^1], key);
        return key;
    }
}
