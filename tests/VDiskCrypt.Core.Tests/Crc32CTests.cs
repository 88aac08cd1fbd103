using Xunit;

namespace VDiskCrypt.Core.Tests;

/// <summary>RFC 3720, appendix B.4.</summary>
public sealed class Crc32CTests
{
    [Fact]
    public void Agrees_with_the_published_examples()
    {
        byte[] ascending = [.. Enumerable.Range(0, 32).Select(value => (byte)value)];
        Assert.Equal(0x8A9136AAu, Crc32C.Compute(new byte[32]));
        Assert.Equal(0x62A8AB43u, Crc32C.Compute(Enumerable.Repeat((byte)0xFF, 32).ToArray()));
        Assert.Equal(0x46DD794Eu, Crc32C.Compute(ascending));
        Assert.Equal(0xE3069283u, Crc32C.Compute("123456789"u8));
    }

    [Fact]
    public void Continues_from_any_split()
    {
        byte[] data = new byte[100];
        new Random(7).NextBytes(data);
        uint whole = Crc32C.Update(uint.MaxValue, data);
        for (int split = 0; split <= data.Length; split++)
        {
            Assert.Equal(whole, Crc32C.Update(Crc32C.Update(uint.MaxValue, data.AsSpan(0, split)), data.AsSpan(split)));
        }
    }
}
