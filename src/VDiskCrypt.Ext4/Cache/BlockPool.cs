using System.Runtime.InteropServices;

namespace VDiskCrypt.Ext4.Cache;

/// <summary>
/// Native memory in pieces of one filesystem block, aligned to 4096 bytes or the block size. Grows by slabs; what is
/// returned is kept for the next renting, so the steady state allocates nothing. The limit is the cache's to keep: a
/// transaction in flight may need more for a moment.
/// </summary>
internal sealed unsafe class BlockPool : IDisposable
{
    private const int SlabByteCount = 1 << 20;
    private const int Alignment = 4096;

    private readonly Lock _lock = new();
    private readonly int _blockByteSize;
    private readonly List<nint> _slabs = [];
    private readonly Stack<nint> _free = new();
    private bool _isDisposed;

    public BlockPool(int blockByteSize) => _blockByteSize = blockByteSize;

    /// <summary>Blocks that are rented now.</summary>
    public int RentedCount { get; private set; }

    public nint Rent()
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            if (_free.Count == 0)
            {
                AddSlab();
            }

            RentedCount++;
            return _free.Pop();
        }
    }

    public void Return(nint block)
    {
        lock (_lock)
        {
            RentedCount--;
            _free.Push(block);
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _isDisposed = true;
            _free.Clear();
            foreach (nint slab in _slabs)
            {
                NativeMemory.AlignedFree((void*)slab);
            }

            _slabs.Clear();
        }
    }

    private void AddSlab()
    {
        var slab = (nint)NativeMemory.AlignedAlloc(SlabByteCount, Alignment);
        _slabs.Add(slab);
        for (int offset = SlabByteCount - _blockByteSize; offset >= 0; offset -= _blockByteSize)
        {
            _free.Push(slab + offset);
        }
    }
}
