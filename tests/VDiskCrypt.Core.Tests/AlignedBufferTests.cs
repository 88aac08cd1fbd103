using Xunit;

namespace VDiskCrypt.Core.Tests;

public sealed class AlignedBufferTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(4097)]
    [InlineData(8 << 20)]
    public void Is_aligned_and_exactly_as_long_as_asked(int byteCount)
    {
        using AlignedBuffer buffer = AlignedBuffer.Rent(byteCount);
        Assert.Equal(byteCount, buffer.Span.Length);
        Assert.Equal(0, buffer.Address % 4096);
    }

    [Fact]
    public void Renting_again_and_again_allocates_nothing()
    {
        AlignedBuffer.Rent(100_000).Dispose();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
        {
            AlignedBuffer.Rent(100_000).Dispose();
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Fact]
    public void Disposing_twice_does_not_hand_one_buffer_to_two()
    {
        AlignedBuffer buffer = AlignedBuffer.Rent(5000);
        buffer.Dispose();
        buffer.Dispose();
        using AlignedBuffer first = AlignedBuffer.Rent(5000);
        using AlignedBuffer second = AlignedBuffer.Rent(5000);
        Assert.NotEqual(first.Address, second.Address);
    }
}
