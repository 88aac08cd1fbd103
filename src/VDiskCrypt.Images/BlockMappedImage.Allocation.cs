namespace VDiskCrypt.Images;

/// <summary>Allocation, and the order in which new blocks become durable.</summary>
internal abstract partial class BlockMappedImage
{
    /// <summary>
    /// Blocks whose table entry may wait for a flush; at 2 MiB each that is 8 GiB of new data between two flushes, and
    /// 16 KiB of list.
    /// </summary>
    private const int PendingLimit = 4096;

    /// <summary>Guards allocation: the end of the file, the list of pending blocks, and stores to the table in memory.</summary>
    private readonly Lock _allocation = new();

    /// <summary>One flush at a time; taken before <see cref="_allocation"/>, never inside it.</summary>
    private readonly Lock _flush = new();

    private readonly Lock _firstWrite = new();

    private List<int> _pending = [];
    private int _pendingCount;
    private int _undurableCount;
    private long _flushesRequested;
    private long _flushesCovered;
    private bool _hasWritten;

    /// <summary>
    /// Everything acknowledged so far becomes durable. The order, on which a crash at any point relies:
    /// 1. The blocks pending now are taken from the list; their places are in memory only.
    /// 2. The file is flushed: their data, their own metadata and the file's length are durable.
    /// 3. Their table entries are written and made durable in the way of the format (VHD: in place and flushed;
    ///    VHDX: log entry, flush, in place).
    /// A crash before 3 leaves unreferenced space behind the last referenced block, which the next allocation cuts off.
    /// So a table entry on disk never points to data that is not there, and all blocks since the last flush share the
    /// two or three flushes of the file.
    /// </summary>
    public void Flush()
    {
        if (IsReadOnly)
        {
            return;
        }

        long ticket = Interlocked.Increment(ref _flushesRequested);
        lock (_flush)
        {
            if (_flushesCovered >= ticket)
            {
                // A flush that began after this one was asked for has done the work.
                return;
            }

            long covered = Volatile.Read(ref _flushesRequested);
            FlushPending();
            _flushesCovered = covered;
        }
    }

    /// <summary>Finds room for a block, makes it read as zeros, notes the place in memory. Under the allocation lock.</summary>
    protected abstract long AllocateBlock(int block);

    /// <summary>Writes the table entries of these blocks, ascending, and returns when they are durable. Under the flush lock.</summary>
    protected abstract void CommitBlocks(ReadOnlySpan<int> blocks);

    /// <summary>Adds a change of the table in memory to those that the next flush commits. Under the allocation lock.</summary>
    private void AddPending(int block)
    {
        _pending.Add(block);
        Volatile.Write(ref _pendingCount, _pending.Count);
        Interlocked.Increment(ref _undurableCount);
    }

    /// <summary>
    /// Changes the table in memory so that a block without a place reads as zeros for every reader of the format;
    /// false where it does already. Under the allocation lock.
    /// </summary>
    protected virtual bool TryMarkZero(int block) => false;

    private void ZeroUnplaced(int block)
    {
        lock (_allocation)
        {
            if (DataOffset(block) == NoPlace && TryMarkZero(block))
            {
                AddPending(block);
            }
        }
    }

    private void FlushPending()
    {
        int[] blocks;
        lock (_allocation)
        {
            blocks = _pending.Count == 0 ? [] : [.. _pending];
            _pending.Clear();
            Volatile.Write(ref _pendingCount, 0);
        }

        bool isDone = false;
        try
        {
            File.Flush();
            if (blocks.Length > 0)
            {
                Array.Sort(blocks);
                CommitBlocks(blocks);
                Interlocked.Add(ref _undurableCount, -blocks.Length);
            }

            isDone = true;
        }
        finally
        {
            if (!isDone)
            {
                // Nothing may take these blocks for durable: the next flush has them again.
                lock (_allocation)
                {
                    _pending.AddRange(blocks);
                    Volatile.Write(ref _pendingCount, _pending.Count);
                }
            }
        }
    }

    private long PlaceForWrite(int block)
    {
        long dataOffset = DataOffset(block);
        if (dataOffset != NoPlace)
        {
            PreparePlaced(block);
            return dataOffset;
        }

        lock (_allocation)
        {
            dataOffset = DataOffset(block);
            if (dataOffset == NoPlace)
            {
                // Counted before the place shows, so that whoever sees the place sees that it is not durable yet.
                AddPending(block);
                try
                {
                    return AllocateBlock(block);
                }
                catch
                {
                    _pending.RemoveAt(_pending.Count - 1);
                    Volatile.Write(ref _pendingCount, _pending.Count);
                    Interlocked.Decrement(ref _undurableCount);
                    throw;
                }
            }
        }

        PreparePlaced(block);
        return dataOffset;
    }

    private void FlushIfManyPending()
    {
        if (Volatile.Read(ref _pendingCount) >= PendingLimit)
        {
            Flush();
        }
    }

    private void PrepareFirstWrite()
    {
        if (Volatile.Read(ref _hasWritten))
        {
            return;
        }

        lock (_firstWrite)
        {
            if (!_hasWritten)
            {
                MarkFileWritten();
                Volatile.Write(ref _hasWritten, true);
            }
        }
    }
}
