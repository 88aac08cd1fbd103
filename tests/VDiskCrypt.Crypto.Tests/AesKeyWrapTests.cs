using Xunit;

namespace VDiskCrypt.Crypto.Tests;

/// <summary>The vectors of RFC 3394, section 4, and what must not unwrap.</summary>
public sealed class AesKeyWrapTests
{
    [Theory]
    [InlineData("000102030405060708090A0B0C0D0E0F", "00112233445566778899AABBCCDDEEFF", "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5")]
    [InlineData("000102030405060708090A0B0C0D0E0F1011121314151617", "00112233445566778899AABBCCDDEEFF", "96778B25AE6CA435F92B5B97C050AED2468AB8A17AD84E5D")]
    [InlineData("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F", "00112233445566778899AABBCCDDEEFF", "64E8C3F9CE0F5BA263E9777905818A2A93C8191E7D6E8AE7")]
    [InlineData("000102030405060708090A0B0C0D0E0F1011121314151617", "00112233445566778899AABBCCDDEEFF0001020304050607", "031D33264E15D33268F24EC260743EDCE1C6C7DDEE725A936BA814915C6762D2")]
    [InlineData("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F", "00112233445566778899AABBCCDDEEFF0001020304050607", "A8F9BC1612C68B3FF6E6F4FBE30E71E4769C8B80A32CB8958CD5D17D6B254DA1")]
    [InlineData("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F", "00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F", "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21")]
    public void The_vectors_of_RFC_3394_hold(string keyHex, string plainHex, string wrappedHex)
    {
        byte[] key = Convert.FromHexString(keyHex);
        byte[] plain = Convert.FromHexString(plainHex);
        var wrapped = new byte[plain.Length + AesKeyWrap.OverheadByteCount];
        AesKeyWrap.Wrap(key, plain, wrapped);
        Assert.Equal(Convert.FromHexString(wrappedHex), wrapped);
        var unwrapped = new byte[plain.Length];
        Assert.True(AesKeyWrap.TryUnwrap(key, wrapped, unwrapped));
        Assert.Equal(plain, unwrapped);
    }

    [Fact]
    public void Any_changed_byte_or_another_key_unwraps_to_nothing()
    {
        byte[] key = Convert.FromHexString("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F");
        var wrapped = new byte[72];
        AesKeyWrap.Wrap(key, new byte[64], wrapped);
        var plain = new byte[64];
        for (int i = 0; i < wrapped.Length; i++)
        {
            wrapped[i] ^= 1;
            plain.AsSpan().Fill(1);
            Assert.False(AesKeyWrap.TryUnwrap(key, wrapped, plain));
            Assert.All(plain, value => Assert.Equal(0, value));
            wrapped[i] ^= 1;
        }

        key[0] ^= 1;
        Assert.False(AesKeyWrap.TryUnwrap(key, wrapped, plain));
    }

    [Fact]
    public void Sizes_that_RFC_3394_does_not_have_are_refused()
    {
        Assert.ThrowsAny<ArgumentException>(() => AesKeyWrap.Wrap(new byte[32], new byte[8], new byte[16]));
        Assert.ThrowsAny<ArgumentException>(() => AesKeyWrap.Wrap(new byte[32], new byte[20], new byte[28]));
        Assert.ThrowsAny<ArgumentException>(() => AesKeyWrap.Wrap(new byte[31], new byte[16], new byte[24]));
        Assert.ThrowsAny<ArgumentException>(() => AesKeyWrap.TryUnwrap(new byte[32], new byte[16], new byte[8]));
    }

    [Theory]
    [InlineData(16)]
    [InlineData(24)]
    [InlineData(32)]
    public void The_block_cipher_agrees_with_the_platform(int keyByteCount)
    {
        var random = new Random(keyByteCount);
        var key = new byte[keyByteCount];
        var block = new byte[16];
        for (int i = 0; i < 200; i++)
        {
            random.NextBytes(key);
            random.NextBytes(block);
            using var tested = new AesBlockCipher(key);
            using var trusted = new AesBlockCipher(key, allowInstructions: false);
            byte[] one = [.. block];
            byte[] other = [.. block];
            tested.EncryptBlock(one);
            trusted.EncryptBlock(other);
            Assert.Equal(other, one);
            tested.DecryptBlock(one);
            trusted.DecryptBlock(other);
            Assert.Equal(block, one);
            Assert.Equal(block, other);
        }
    }
}
