using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Cache;
using VDiskCrypt.Ext4.OnDisk;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4.Allocation;

/// <summary>
/// Gives out runs of blocks near a goal, and takes them back. Blocks that a transaction frees are held until it is
/// durable: whatever a crash brings back still finds its own bytes in them.
/// </summary>
internal sealed partial class BlockAllocator
{
    /// <summary>A free run of this many blocks right at the goal is better than a longer one elsewhere.</summary>
    private const uint GoodRunAtGoal = 8;

    /// <summary>No search insists on a longer run than this.</summary>
    private const uint LongestWantedRun = 4096;

    private readonly Geometry _geometry;
    private readonly GroupTable _groups;
    private readonly BlockCache _cache;
    private readonly SystemZone _systemZone;
    private readonly IBlockDevice? _discardDevice;
    private long _freeBlockCount;
    private long _uncommittedFreeCount;

    public BlockAllocator(
        Geometry geometry, GroupTable groups, BlockCache cache, SystemZone systemZone, IBlockDevice? discardDevice)
    {
        _geometry = geometry;
        _groups = groups;
        _cache = cache;
        _systemZone = systemZone;
        _discardDevice = discardDevice;
        for (uint i = 0; i < groups.Count; i++)
        {
            _freeBlockCount += groups[i].FreeBlocks;
        }
    }

    /// <summary>Free blocks, those that wait for a commit included.</summary>
    public ulong FreeBlockCount => (ulong)Math.Max(0, Interlocked.Read(ref _freeBlockCount));

    /// <summary>Whether a commit would make blocks available.</summary>
    public bool HasUncommittedFrees => Interlocked.Read(ref _uncommittedFreeCount) > 0;

    /// <summary>Takes up to <paramref name="wanted"/> blocks in one run.</summary>
    /// <param name="handle">The transaction.</param>
    /// <param name="goal">The best first block.</param>
    /// <param name="wanted">At least 1.</param>
    /// <param name="window">The file's reservation, which is used first and renewed; null for none.</param>
    /// <param name="windowSize">How many blocks to reserve behind the run.</param>
    /// <param name="start">The first block.</param>
    /// <param name="count">1 to <paramref name="wanted"/>.</param>
    /// <returns>False when no block is left.</returns>
    public bool Allocate(
        TransactionHandle handle, ulong goal, uint wanted, Reservation? window, uint windowSize, out ulong start, out uint count)
    {
        if (window is not null)
        {
            if (TakeFromWindow(handle, window, goal, wanted, out start, out count))
            {
                return true;
            }

            DropWindow(window);
        }
        else
        {
            windowSize = 0;
        }

        return Search(handle, goal, wanted, window, windowSize, out start, out count)
            || DropAllWindows() && Search(handle, goal, wanted, null, 0, out start, out count);
    }

    /// <summary>Gives data blocks back; they are reusable once the handle's transaction is durable.</summary>
    public void Free(TransactionHandle handle, ulong start, ulong count)
    {
        CheckRange(start, count);
        handle.Transaction.AddFreedRange(start, (uint)count);
        while (count > 0)
        {
            BlockGroup group = _groups[_geometry.GroupOf(start)];
            var first = (uint)(start - group.FirstBlock);
            var part = (uint)Math.Min(count, group.BlockCount - first);
            FreeInGroup(handle, group, first, part);
            start += part;
            count -= part;
        }
    }

    /// <summary>As <see cref="Free"/> for blocks whose content is metadata: cached copies are dropped and revoked.</summary>
    public void FreeMetadata(TransactionHandle handle, ulong start, ulong count)
    {
        CheckRange(start, count);
        for (ulong number = start; number < start + count; number++)
        {
            using MetadataBlock? block = _cache.TryGet(number);
            if (block is null)
            {
                handle.Transaction.AddRevokedBlock(number);
            }
            else
            {
                handle.Forget(block);
            }
        }

        Free(handle, start, count);
    }

    /// <summary>A transaction is durable: what it freed may be given out, and the device may forget it.</summary>
    public void Release(Transaction transaction)
    {
        List<(ulong Start, uint Count)> ranges = transaction.FreedRanges;
        foreach ((ulong rangeStart, uint rangeCount) in ranges)
        {
            _discardDevice?.Discard((long)rangeStart << _geometry.BlockBits, (long)rangeCount << _geometry.BlockBits);
            (ulong start, uint count) = (rangeStart, rangeCount);
            while (count > 0)
            {
                BlockGroup group = _groups[_geometry.GroupOf(start)];
                var first = (uint)(start - group.FirstBlock);
                uint part = Math.Min(count, group.BlockCount - first);
                lock (group)
                {
                    Unhold(group, first, part);
                }

                start += part;
                count -= part;
            }

            Interlocked.Add(ref _uncommittedFreeCount, -(long)rangeCount);
        }
    }

    /// <summary>Writes the bitmap of a group that had none; under the group's monitor.</summary>
    public void InitializeBitmap(TransactionHandle handle, BlockGroup group)
    {
        if ((group.Flags & GroupFlags.BlockUninitialized) != 0)
        {
            using MetadataBlock bitmap = _groups.GetBlockBitmap(group);
            handle.Modify(bitmap);
            group.Flags &= ~GroupFlags.BlockUninitialized;
            group.BlockBitmapIsDirty = true;
            GroupTable.MarkDirty(handle, group);
        }
    }

    /// <summary>Whether a run may belong to a file: inside the filesystem, outside its own structures.</summary>
    public bool IsDataRange(ulong start, ulong count) =>
        start > _geometry.FirstDataBlock && count > 0 && start < _geometry.BlockCount && count <= _geometry.BlockCount - start
        && !_systemZone.Overlaps(start, count);

    private void CheckRange(ulong start, ulong count)
    {
        if (!IsDataRange(start, count))
        {
            throw VDiskException.Damaged(
                "ext4 block map", 0, $"blocks {start} to {start + count - 1} of a file are not data blocks",
                "check the filesystem with e2fsck");
        }
    }

    private void FreeInGroup(TransactionHandle handle, BlockGroup group, uint first, uint count)
    {
        lock (group)
        {
            using MetadataBlock bitmap = _groups.GetBlockBitmap(group);
            handle.Modify(bitmap);
            if ((group.Flags & GroupFlags.BlockUninitialized) != 0 || !Bitmap.Clear(bitmap.Bytes, first, count))
            {
                throw VDiskException.Damaged(
                    $"ext4 block bitmap of group {group.Index}", (long)group.BlockBitmap << _geometry.BlockBits,
                    $"a block from {group.FirstBlock + first} on is freed twice", "check the filesystem with e2fsck");
            }

            group.FreeBlocks += count;
            group.BlockBitmapIsDirty = true;
            GroupTable.MarkDirty(handle, group);
            Hold(group, first, count);
        }

        Interlocked.Add(ref _freeBlockCount, count);
        Interlocked.Add(ref _uncommittedFreeCount, count);
    }

    private bool Search(
        TransactionHandle handle, ulong goal, uint wanted, Reservation? window, uint windowSize,
        out ulong start, out uint count)
    {
        if (goal <= _geometry.FirstDataBlock || goal >= _geometry.BlockCount)
        {
            goal = _geometry.FirstDataBlock;
        }

        uint goalGroup = _geometry.GroupOf(goal);
        var groupCount = (uint)_groups.Count;
        uint longest = Math.Min(LongestWantedRun, _geometry.BlocksPerGroup / 2);
        for (int pass = 0; pass < 3; pass++)
        {
            uint least = pass switch { 0 => Math.Min(wanted + windowSize, longest), 1 => Math.Min(wanted, longest), _ => 1 };
            for (uint i = 0; i < groupCount; i++)
            {
                uint index = goalGroup + i;
                BlockGroup group = _groups[index < groupCount ? index : index - groupCount];
                bool isGoalGroup = i == 0 && pass == 0;
                if (group.FreeBlocks <= group.HeldCount || !isGoalGroup && pass < 2 && group.LongestRunBound < least)
                {
                    continue;
                }

                uint from = i == 0 ? (uint)(goal - group.FirstBlock) : 0;
                if (TakeFromGroup(handle, group, from, isGoalGroup, wanted, least, window, windowSize, out start, out count))
                {
                    return true;
                }
            }
        }

        start = 0;
        count = 0;
        return false;
    }

    private bool TakeFromGroup(
        TransactionHandle handle, BlockGroup group, uint from, bool preferGoal, uint wanted, uint least,
        Reservation? window, uint windowSize, out ulong start, out uint count)
    {
        start = 0;
        count = 0;
        Reservation? granted = window is not null && windowSize > 0 ? window : null;
        uint first;
        uint extra = 0;
        lock (group)
        {
            using MetadataBlock bitmap = _groups.GetBlockBitmap(group);
            if (!FindRun(group, bitmap.Bytes, from, preferGoal, wanted + windowSize, least, out first, out uint length))
            {
                return false;
            }

            count = Math.Min(wanted, length);
            extra = granted is null ? 0 : length - count;
            Take(handle, group, bitmap, first, count);
            if (extra > 0)
            {
                Hold(group, first + count, extra);
            }
        }

        start = group.FirstBlock + first;
        if (extra > 0)
        {
            Grant(granted!, start + count, extra);
        }

        return true;
    }

    /// <summary>Finds a run of up to <paramref name="wanted"/> blocks and at least <paramref name="least"/>, first fit, else the longest.</summary>
    private static bool FindRun(
        BlockGroup group, ReadOnlySpan<byte> bitmap, uint from, bool preferGoal, uint wanted, uint least,
        out uint first, out uint length)
    {
        ReadOnlySpan<ulong> held = group.Held;
        uint limit = group.BlockCount;
        first = 0;
        length = 0;
        if (preferGoal && from < limit)
        {
            uint end = Bitmap.NextSet(bitmap, held, from, Math.Min(limit, from + wanted));
            if (end - from >= Math.Min(least, GoodRunAtGoal))
            {
                first = from;
                length = end - from;
                return true;
            }
        }

        for (int half = 0; half < 2; half++)
        {
            uint position = half == 0 ? from : 0;
            uint stop = half == 0 ? limit : from;
            while (position < stop)
            {
                uint runStart = Bitmap.NextClear(bitmap, held, position, limit);
                if (runStart >= stop)
                {
                    break;
                }

                uint runEnd = Bitmap.NextSet(bitmap, held, runStart, Math.Min(limit, runStart + wanted));
                if (runEnd - runStart > length)
                {
                    first = runStart;
                    length = runEnd - runStart;
                    if (length >= Math.Min(wanted, Math.Max(least, 1)))
                    {
                        return true;
                    }
                }

                position = runEnd + 1;
            }
        }

        group.LongestRunBound = length;
        return length >= least;
    }

    private void Take(TransactionHandle handle, BlockGroup group, MetadataBlock bitmap, uint first, uint count)
    {
        handle.Modify(bitmap);
        Bitmap.Set(bitmap.Bytes, first, count);
        group.Flags &= ~GroupFlags.BlockUninitialized;
        group.FreeBlocks -= count;
        group.BlockBitmapIsDirty = true;
        GroupTable.MarkDirty(handle, group);
        Interlocked.Add(ref _freeBlockCount, -(long)count);
    }
}
