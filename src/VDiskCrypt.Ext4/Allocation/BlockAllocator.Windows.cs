using System.Collections.Concurrent;
using VDiskCrypt.Ext4.Cache;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4.Allocation;

/// <content>Reservations, and the bits that hold blocks back.</content>
internal sealed partial class BlockAllocator
{
    /// <summary>Files with a reservation at one time; the oldest loses its own for a new one.</summary>
    private const int WindowLimit = 256;

    private const int PooledHeldLimit = 64;

    private readonly Lock _windowLock = new();
    private readonly Queue<Reservation> _windows = new();
    private readonly ConcurrentBag<ulong[]> _heldPool = [];

    /// <summary>Gives a file's reserved blocks back.</summary>
    public void DropWindow(Reservation window)
    {
        lock (window)
        {
            if (window.Count == 0)
            {
                return;
            }

            BlockGroup group = _groups[_geometry.GroupOf(window.Start)];
            lock (group)
            {
                Unhold(group, (uint)(window.Start - group.FirstBlock), window.Count);
            }

            window.Count = 0;
        }
    }

    private bool TakeFromWindow(
        TransactionHandle handle, Reservation window, ulong goal, uint wanted, out ulong start, out uint count)
    {
        lock (window)
        {
            start = window.Start;
            count = Math.Min(wanted, window.Count);
            if (count == 0 || goal != start)
            {
                count = 0;
                return false;
            }

            BlockGroup group = _groups[_geometry.GroupOf(start)];
            lock (group)
            {
                using MetadataBlock bitmap = _groups.GetBlockBitmap(group);
                var first = (uint)(start - group.FirstBlock);
                Unhold(group, first, count);
                Take(handle, group, bitmap, first, count);
            }

            window.Start += count;
            window.Count -= count;
            return true;
        }
    }

    private void Grant(Reservation window, ulong start, uint count)
    {
        lock (window)
        {
            window.Start = start;
            window.Count = count;
        }

        Reservation? oldest = null;
        lock (_windowLock)
        {
            if (!_windows.Contains(window))
            {
                _windows.Enqueue(window);
                if (_windows.Count > WindowLimit)
                {
                    oldest = _windows.Dequeue();
                }
            }
        }

        if (oldest is not null)
        {
            DropWindow(oldest);
        }
    }

    private bool DropAllWindows()
    {
        Reservation[] windows;
        lock (_windowLock)
        {
            windows = [.. _windows];
            _windows.Clear();
        }

        bool any = false;
        foreach (Reservation window in windows)
        {
            any |= window.Count > 0;
            DropWindow(window);
        }

        return any;
    }

    /// <summary>Holds free blocks back; under the group's monitor.</summary>
    private void Hold(BlockGroup group, uint first, uint count)
    {
        ulong[] held = group.Held ??= RentHeld();
        for (uint bit = first; bit < first + count;)
        {
            uint inWord = Math.Min(64 - (bit & 63), first + count - bit);
            held[bit >> 6] |= (inWord == 64 ? ulong.MaxValue : (1UL << (int)inWord) - 1) << (int)(bit & 63);
            bit += inWord;
        }

        group.HeldCount += count;
    }

    private void Unhold(BlockGroup group, uint first, uint count)
    {
        ulong[] held = group.Held!;
        for (uint bit = first; bit < first + count;)
        {
            uint inWord = Math.Min(64 - (bit & 63), first + count - bit);
            held[bit >> 6] &= ~((inWord == 64 ? ulong.MaxValue : (1UL << (int)inWord) - 1) << (int)(bit & 63));
            bit += inWord;
        }

        group.HeldCount -= count;
        group.LongestRunBound = group.BlockCount;
        if (group.HeldCount == 0)
        {
            group.Held = null;
            if (_heldPool.Count < PooledHeldLimit)
            {
                _heldPool.Add(held);
            }
        }
    }

    private ulong[] RentHeld() =>
        _heldPool.TryTake(out ulong[]? held) ? held : new ulong[(_geometry.BlockByteSize * 8 + 63) / 64];
}
