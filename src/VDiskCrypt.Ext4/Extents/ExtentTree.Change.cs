using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Inodes;
using VDiskCrypt.Ext4.OnDisk;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4.Extents;

/// <content>Inserting, converting and removing ranges.</content>
internal sealed partial class ExtentTree
{
    /// <summary>The longest run that one extent can hold.</summary>
    public static uint LongestRun(bool isUnwritten) =>
        isUnwritten ? (uint)ExtentNodeOnDisk.MaximumUnwrittenLength : ExtentNodeOnDisk.MaximumWrittenLength;

    /// <summary>Maps a hole, or a part of one.</summary>
    /// <returns>False when the tree needs a block and there is none; nothing changed.</returns>
    public bool Insert(TransactionHandle handle, Inode inode, in Mapping extent)
    {
        inode.ForgetRecent();
        ExtentPath path = ExtentPath.OfThread;
        try
        {
            Descend(path, inode, extent.First);
            if (TryMerge(handle, path, inode, extent))
            {
                return true;
            }

            if (path.Node(path.Depth).Count == path.Node(path.Depth).Capacity && !MakeRoom(handle, path, inode, extent.First, 1))
            {
                return false;
            }

            InsertAt(handle, path, inode, path.Index(path.Depth) + 1, extent);
            return true;
        }
        finally
        {
            path.Release();
        }
    }

    /// <summary>Marks mapped blocks as written, or as unwritten; holes in the range stay.</summary>
    /// <returns>False when the tree needs a block and there is none; the blocks before were converted.</returns>
    public bool Convert(TransactionHandle handle, Inode inode, uint first, uint count, bool toUnwritten)
    {
        inode.ForgetRecent();
        ulong end = (ulong)first + count;
        ulong position = first;
        ExtentPath path = ExtentPath.OfThread;
        try
        {
            while (position < end)
            {
                Descend(path, inode, (uint)position);
                int index = path.Index(path.Depth);
                Mapping extent = index < 0 ? default : ReadExtent(inode, path.Node(path.Depth), index);
                if (!extent.Contains((uint)position))
                {
                    position = NextKey(path);
                    continue;
                }

                ulong pieceEnd = Math.Min(end, extent.End);
                if (extent.IsUnwritten != toUnwritten
                    && !ConvertPiece(handle, path, inode, extent, (uint)position, (uint)(pieceEnd - position)))
                {
                    return false;
                }

                position = pieceEnd;
            }

            path.Release();
            Collapse(handle, inode);
            return true;
        }
        finally
        {
            path.Release();
        }
    }

    /// <summary>Unmaps a range, its last block first, and gives the blocks back.</summary>
    public RemoveOutcome Remove(TransactionHandle handle, Inode inode, uint first, uint last)
    {
        inode.ForgetRecent();
        ExtentPath path = ExtentPath.OfThread;
        try
        {
            for (int removed = 0; ; removed++)
            {
                Descend(path, inode, last);
                int index = path.Index(path.Depth);
                Mapping extent = index < 0 ? default : ReadExtent(inode, path.Node(path.Depth), index);
                if (extent.End <= first)
                {
                    path.Release();
                    Collapse(handle, inode);
                    return RemoveOutcome.Done;
                }

                if (removed > 0 && handle.ShouldRestart)
                {
                    return RemoveOutcome.Restart;
                }

                if (!RemoveFrom(handle, path, inode, extent, Math.Max(first, extent.First), Math.Min((ulong)last + 1, extent.End)))
                {
                    return RemoveOutcome.NoSpace;
                }
            }
        }
        finally
        {
            path.Release();
        }
    }

    private bool RemoveFrom(
        TransactionHandle handle, ExtentPath path, Inode inode, in Mapping extent, uint cutFirst, ulong cutEnd)
    {
        bool keepsFront = cutFirst > extent.First;
        bool keepsBack = cutEnd < extent.End;
        if (keepsFront && keepsBack && !MakeRoom(handle, path, inode, extent.First, 1))
        {
            return false;
        }

        int level = path.Depth;
        int index = path.Index(level);
        ExtentNodeOnDisk leaf = path.Node(level);
        var cutCount = (uint)(cutEnd - cutFirst);
        ulong cutPhysical = extent.Physical + (cutFirst - extent.First);
        var back = new Mapping((uint)cutEnd, (uint)(extent.End - cutEnd), cutPhysical + cutCount, extent.IsUnwritten);
        if (keepsFront)
        {
            ModifyNode(handle, path, level);
            Put(leaf, index, extent with { Count = cutFirst - extent.First });
            FinishNode(path, inode, level);
            if (keepsBack)
            {
                InsertAt(handle, path, inode, index + 1, back);
            }
        }
        else if (keepsBack)
        {
            ModifyNode(handle, path, level);
            Put(leaf, index, back);
            FinishNode(path, inode, level);
            FixKeys(handle, path, inode, level);
        }
        else
        {
            DeleteEntry(handle, path, inode, level, index);
        }

        inode.Blocks512 -= Math.Min(inode.Blocks512, (ulong)cutCount << (_geometry.BlockBits - 9));
        if (inode.HoldsMetadata)
        {
            _allocator.FreeMetadata(handle, cutPhysical, cutCount);
        }
        else
        {
            _allocator.Free(handle, cutPhysical, cutCount);
        }

        return true;
    }

    private bool ConvertPiece(TransactionHandle handle, ExtentPath path, Inode inode, Mapping extent, uint first, uint count)
    {
        int level = path.Depth;
        bool keepsFront = first > extent.First;
        bool keepsBack = (ulong)first + count < extent.End;
        var middle = new Mapping(first, count, extent.Physical + (first - extent.First), !extent.IsUnwritten);
        if (!keepsFront && TryConvertIntoLeft(handle, path, inode, extent, middle))
        {
            return true;
        }

        int extra = (keepsFront ? 1 : 0) + (keepsBack ? 1 : 0);
        if (extra > 0 && !MakeRoom(handle, path, inode, extent.First, extra))
        {
            return false;
        }

        level = path.Depth;
        int index = path.Index(level);
        ExtentNodeOnDisk leaf = path.Node(level);
        ModifyNode(handle, path, level);
        leaf.MoveEntries(index + 1, index + 1 + extra, leaf.Count - index - 1);
        leaf.Count = (ushort)(leaf.Count + extra);
        if (keepsFront)
        {
            Put(leaf, index++, extent with { Count = first - extent.First });
        }

        Put(leaf, index, middle);
        if (keepsBack)
        {
            ulong backFirst = middle.End;
            Put(leaf, index + 1, new Mapping(
                (uint)backFirst, (uint)(extent.End - backFirst), middle.Physical + count, extent.IsUnwritten));
        }

        MergeAround(inode, leaf, index);
        FinishNode(path, inode, level);
        return true;
    }

    /// <summary>The common case of writing on into unwritten blocks: the written extent on the left grows.</summary>
    private bool TryConvertIntoLeft(TransactionHandle handle, ExtentPath path, Inode inode, in Mapping extent, in Mapping middle)
    {
        int level = path.Depth;
        int index = path.Index(level);
        ExtentNodeOnDisk leaf = path.Node(level);
        if (index == 0 || middle.End == extent.End)
        {
            return false;
        }

        Mapping left = ReadExtent(inode, leaf, index - 1);
        if (!CanMerge(left, middle))
        {
            return false;
        }

        ModifyNode(handle, path, level);
        Put(leaf, index - 1, left with { Count = left.Count + middle.Count });
        Put(leaf, index, new Mapping(
            (uint)middle.End, extent.Count - middle.Count, extent.Physical + middle.Count, extent.IsUnwritten));
        FinishNode(path, inode, level);
        return true;
    }

    private bool TryMerge(TransactionHandle handle, ExtentPath path, Inode inode, in Mapping extent)
    {
        int level = path.Depth;
        int index = path.Index(level);
        ExtentNodeOnDisk leaf = path.Node(level);
        if (index >= 0)
        {
            Mapping left = ReadExtent(inode, leaf, index);
            if (left.End > extent.First)
            {
                throw Bad(inode, 0, $"logical block {extent.First} is mapped already");
            }

            if (CanMerge(left, extent))
            {
                ModifyNode(handle, path, level);
                Put(leaf, index, left with { Count = left.Count + extent.Count });
                MergeAround(inode, leaf, index);
                FinishNode(path, inode, level);
                return true;
            }
        }

        if (index + 1 < leaf.Count)
        {
            Mapping right = ReadExtent(inode, leaf, index + 1);
            if (CanMerge(extent, right))
            {
                ModifyNode(handle, path, level);
                Put(leaf, index + 1, extent with { Count = extent.Count + right.Count });
                path.Index(level) = index + 1;
                FinishNode(path, inode, level);
                FixKeys(handle, path, inode, level);
                return true;
            }
        }

        return false;
    }

    /// <summary>Joins an entry with its neighbours in the same leaf where they continue each other.</summary>
    private void MergeAround(Inode inode, ExtentNodeOnDisk leaf, int index)
    {
        for (int left = index; left >= Math.Max(0, index - 1); left--)
        {
            if (left + 1 >= leaf.Count)
            {
                continue;
            }

            Mapping first = ReadExtent(inode, leaf, left);
            Mapping second = ReadExtent(inode, leaf, left + 1);
            if (CanMerge(first, second))
            {
                Put(leaf, left, first with { Count = first.Count + second.Count });
                leaf.MoveEntries(left + 2, left + 1, leaf.Count - left - 2);
                leaf.Count--;
            }
        }
    }

    private static bool CanMerge(in Mapping left, in Mapping right) =>
        left.End == right.First && left.Physical + left.Count == right.Physical && left.IsUnwritten == right.IsUnwritten
        && left.Count + right.Count <= LongestRun(left.IsUnwritten);

    private static void Put(ExtentNodeOnDisk leaf, int index, in Mapping extent) =>
        leaf.SetExtent(
            index, extent.First,
            (ushort)(extent.IsUnwritten ? extent.Count + ExtentNodeOnDisk.MaximumWrittenLength : extent.Count),
            extent.Physical);
}
