using System.Collections.Concurrent;
using System.Numerics;
using System.Runtime.InteropServices;

namespace VDiskCrypt.Core;

/// <summary>
/// Native memory aligned to 4096 bytes, for buffers that cross to the kernel. Rented from a pool: renting in the steady
/// state allocates nothing, and Dispose gives the memory back. The contents at renting are whatever was there.
/// </summary>
public sealed unsafe class AlignedBuffer : IDisposable
{
    /// <summary>Larger buffers are not kept.</summary>
    private const int LargestPooledByteCount = 4 << 20;

    private const int Alignment = 4096;
    private const int PooledPerSize = 16;

    private static readonly ConcurrentQueue<AlignedBuffer>[] Pools = CreatePools();

    private readonly byte* _address;
    private readonly int _capacity;
    private int _length;

    private AlignedBuffer(int capacity)
    {
        _capacity = capacity;
        _address = (byte*)NativeMemory.AlignedAlloc((nuint)capacity, Alignment);
    }

    public nint Address => (nint)_address;

    public Span<byte> Span => new(_address, _length);

    /// <summary>A buffer whose <see cref="Span"/> has exactly <paramref name="byteCount"/> bytes.</summary>
    public static AlignedBuffer Rent(int byteCount)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(byteCount);
        int capacity = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(byteCount, Alignment));
        AlignedBuffer? buffer = null;
        if (capacity <= LargestPooledByteCount)
        {
            Pools[BitOperations.Log2((uint)capacity)].TryDequeue(out buffer);
        }

        buffer ??= new AlignedBuffer(capacity);
        buffer._length = byteCount;
        return buffer;
    }

    public void Dispose()
    {
        if (_length < 0)
        {
            return;
        }

        _length = -1;
        if (_capacity <= LargestPooledByteCount)
        {
            ConcurrentQueue<AlignedBuffer> pool = Pools[BitOperations.Log2((uint)_capacity)];
            if (pool.Count < PooledPerSize)
            {
                pool.Enqueue(this);
                return;
            }
        }

        NativeMemory.AlignedFree(_address);
    }

    private static ConcurrentQueue<AlignedBuffer>[] CreatePools()
    {
        var pools = new ConcurrentQueue<AlignedBuffer>[BitOperations.Log2(LargestPooledByteCount) + 1];
        for (int i = 0; i < pools.Length; i++)
        {
            pools[i] = new ConcurrentQueue<AlignedBuffer>();
        }

        return pools;
    }
}
