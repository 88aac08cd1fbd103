namespace VDiskCrypt.Luks;

/// <summary>
/// Keeps a read-modify-write of one 16-byte cipher block apart from every other write that touches it. A write of whole
/// blocks registers its range in a slot and goes on without a lock; only where a read-modify-write is at work on the
/// same bytes does one wait for the other.
/// </summary>
/// <remarks>
/// Both sides first publish their range and then look for the other's, with a full fence between, so at least one of two
/// that collide sees it. The writer of whole blocks steps back and waits; the read-modify-write waits for the slots
/// to clear. A range of offsets is [start, end).
/// </remarks>
internal sealed class WriteRanges
{
    /// <summary>Writes of whole blocks at one time; more wait for a free slot.</summary>
    private const int SlotCount = 64;

    private readonly Slot[] _slots = new Slot[SlotCount];

    /// <summary>Guards <see cref="_exclusive"/>.</summary>
    private readonly object _gate = new();

    private readonly List<(long Start, long End)> _exclusive = [];

    /// <summary>The count of <see cref="_exclusive"/>, for the look without the lock.</summary>
    private int _exclusiveCount;

    /// <summary>Enters a write of whole blocks; returns the slot for <see cref="LeaveShared"/>.</summary>
    public int EnterShared(long start, long end)
    {
        while (true)
        {
            int slot = TakeSlot(start, end);
            if (Volatile.Read(ref _exclusiveCount) == 0 || !OverlapsExclusive(start, end))
            {
                return slot;
            }

            LeaveShared(slot);
            lock (_gate)
            {
                while (OverlapsExclusiveLocked(start, end))
                {
                    Monitor.Wait(_gate);
                }
            }
        }
    }

    public void LeaveShared(int slot) => Interlocked.Exchange(ref _slots[slot].Taken, 0);

    /// <summary>Enters a read-modify-write; no other write of these bytes is under way when it returns.</summary>
    public void EnterExclusive(long start, long end)
    {
        lock (_gate)
        {
            while (OverlapsExclusiveLocked(start, end))
            {
                Monitor.Wait(_gate);
            }

            _exclusive.Add((start, end));
            Interlocked.Increment(ref _exclusiveCount);
        }

        foreach (ref Slot slot in _slots.AsSpan())
        {
            var spin = default(SpinWait);
            while (slot.Overlaps(start, end))
            {
                spin.SpinOnce();
            }
        }
    }

    public void LeaveExclusive(long start, long end)
    {
        lock (_gate)
        {
            _exclusive.Remove((start, end));
            Interlocked.Decrement(ref _exclusiveCount);
            Monitor.PulseAll(_gate);
        }
    }

    private int TakeSlot(long start, long end)
    {
        var spin = default(SpinWait);
        int first = Environment.CurrentManagedThreadId % SlotCount;
        while (true)
        {
            for (int i = 0; i < SlotCount; i++)
            {
                int index = (first + i) % SlotCount;
                ref Slot slot = ref _slots[index];
                if (slot.Taken == 0 && Interlocked.CompareExchange(ref slot.Taken, Slot.Filling, 0) == 0)
                {
                    slot.Start = start;
                    slot.End = end;
                    Interlocked.Exchange(ref slot.Taken, Slot.Filled);
                    return index;
                }
            }

            spin.SpinOnce();
        }
    }

    private bool OverlapsExclusive(long start, long end)
    {
        lock (_gate)
        {
            return OverlapsExclusiveLocked(start, end);
        }
    }

    private bool OverlapsExclusiveLocked(long start, long end)
    {
        // A loop, since a lambda would allocate for each request.
        foreach ((long rangeStart, long rangeEnd) in _exclusive)
        {
            if (rangeStart < end && start < rangeEnd)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>A cache line of its own for each.</summary>
    [System.Runtime.InteropServices.StructLayout(System.Runtime.InteropServices.LayoutKind.Sequential, Size = 64)]
    private struct Slot
    {
        public const int Filling = 1;
        public const int Filled = 2;

        public int Taken;
        public long Start;
        public long End;

        /// <summary>A slot that is being filled counts as overlapping: its range is not known yet.</summary>
        public bool Overlaps(long start, long end)
        {
            int taken = Volatile.Read(ref Taken);
            return taken == Filling || (taken == Filled && Volatile.Read(ref Start) < end && start < Volatile.Read(ref End));
        }
    }
}
