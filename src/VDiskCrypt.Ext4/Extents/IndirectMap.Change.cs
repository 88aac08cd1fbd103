using VDiskCrypt.Ext4.Cache;
using VDiskCrypt.Ext4.Inodes;
using VDiskCrypt.Ext4.OnDisk;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4.Extents;

/// <content>Inserting and removing ranges.</content>
internal sealed partial class IndirectMap
{
    private const int PointerByteLength = 4;

    private ulong BlockCount512 => 1UL << (geometry.BlockBits - 9);

    /// <summary>Maps a hole, or a part of one, no longer than <see cref="RunLimit"/>.</summary>
    /// <returns>
    /// False when a pointer block is needed and there is no room: what was added of the way stays, empty, as a part of the file.
    /// </returns>
    public bool Insert(TransactionHandle handle, Inode inode, in Mapping run)
    {
        inode.ForgetRecent();
        int level = Locate(run.First, out ulong index);
        if (run.End > BlockLimit || run.Physical + run.Count - 1 > uint.MaxValue)
        {
            return false;
        }

        if (level == 0)
        {
            SetPointers(inode, inode.Block, (int)index, run);
            return true;
        }

        MetadataBlock? block = GetOrAdd(
            handle, inode, inode.Block.AsSpan((DirectCount + level - 1) * PointerByteLength, PointerByteLength), run.Physical);
        while (block is not null)
        {
            using MetadataBlock parent = block;
            handle.Modify(parent);
            level--;
            var slot = (int)(index >> level * _pointerBits);
            index &= (1UL << level * _pointerBits) - 1;
            if (level == 0)
            {
                SetPointers(inode, parent.Bytes, slot, run);
                return true;
            }

            block = GetOrAdd(handle, inode, parent.Bytes.Slice(slot * PointerByteLength, PointerByteLength), run.Physical);
        }

        return false;
    }

    /// <summary>Unmaps a range and gives its blocks back, with the pointer blocks that become empty.</summary>
    public RemoveOutcome Remove(TransactionHandle handle, Inode inode, uint first, uint last)
    {
        inode.ForgetRecent();
        Span<byte> root = inode.Block;
        int freed = 0;
        if (first < DirectCount)
        {
            freed += FreeRuns(handle, inode, null, root, (int)first, (int)Math.Min(last, DirectCount - 1));
        }

        ulong start = DirectCount;
        for (int level = 1; level <= MaximumLevel; level++)
        {
            ulong count = 1UL << level * _pointerBits;
            Span<byte> pointer = root.Slice((DirectCount + level - 1) * PointerByteLength, PointerByteLength);
            if (first < start + count && last >= start
                && !RemoveTree(
                    handle, inode, pointer, level, first > start ? first - start : 0, Math.Min(last - start, count - 1), ref freed))
            {
                return RemoveOutcome.Restart;
            }

            start += count;
        }

        return RemoveOutcome.Done;
    }

    /// <returns>False when the transaction is full; another call goes on.</returns>
    private bool RemoveTree(
        TransactionHandle handle, Inode inode, Span<byte> pointer, int level, ulong first, ulong last, ref int freed)
    {
        ulong number = pointer.U32(0);
        if (number == 0)
        {
            return true;
        }

        using (MetadataBlock block = GetPointers(inode, number))
        {
            if (level == 1)
            {
                freed += FreeRuns(handle, inode, block, block.Bytes, (int)first, (int)last);
            }
            else if (!RemoveChildren(handle, inode, block, level, first, last, ref freed))
            {
                return false;
            }

            if (block.Bytes.ContainsAnyExcept((byte)0))
            {
                return true;
            }
        }

        allocator.FreeMetadata(handle, number, 1);
        Uncount(inode, 1);
        pointer.Clear();
        freed++;
        return true;
    }

    private bool RemoveChildren(
        TransactionHandle handle, Inode inode, MetadataBlock block, int level, ulong first, ulong last, ref int freed)
    {
        ulong span = 1UL << (level - 1) * _pointerBits;
        for (ulong slot = first / span; slot <= last / span; slot++)
        {
            Span<byte> child = block.Bytes.Slice((int)slot * PointerByteLength, PointerByteLength);
            if (child.U32(0) == 0)
            {
                continue;
            }

            // Only a call that freed something may stop early: the next one gets further.
            if (freed > 0 && handle.ShouldRestart)
            {
                return false;
            }

            handle.Modify(block);
            ulong childFirst = slot == first / span ? first % span : 0;
            ulong childLast = slot == last / span ? last % span : span - 1;
            if (!RemoveTree(handle, inode, child, level - 1, childFirst, childLast, ref freed))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Frees the blocks behind a range of pointers, those that follow each other together.</summary>
    private int FreeRuns(TransactionHandle handle, Inode inode, MetadataBlock? block, Span<byte> pointers, int first, int last)
    {
        int freed = 0;
        for (int slot = first; slot <= last;)
        {
            ulong start = pointers.U32(slot * PointerByteLength);
            int count = 1;
            if (start != 0)
            {
                while (slot + count <= last && pointers.U32((slot + count) * PointerByteLength) == start + (uint)count)
                {
                    count++;
                }

                if (block is not null)
                {
                    handle.Modify(block);
                }

                Free(handle, inode, start, (uint)count);
                pointers.Slice(slot * PointerByteLength, count * PointerByteLength).Clear();
                freed += count;
            }

            slot += count;
        }

        return freed;
    }

    private void Free(TransactionHandle handle, Inode inode, ulong start, uint count)
    {
        if (inode.HoldsMetadata)
        {
            allocator.FreeMetadata(handle, start, count);
        }
        else
        {
            allocator.Free(handle, start, count);
        }

        Uncount(inode, count);
    }

    private void Uncount(Inode inode, uint blockCount) =>
        inode.Blocks512 -= Math.Min(inode.Blocks512, blockCount * BlockCount512);

    private static void SetPointers(Inode inode, Span<byte> pointers, int slot, in Mapping run)
    {
        if (pointers.Slice(slot * PointerByteLength, (int)run.Count * PointerByteLength).ContainsAnyExcept((byte)0))
        {
            throw Bad(inode, $"logical block {run.First} is mapped already");
        }

        for (uint i = 0; i < run.Count; i++)
        {
            pointers.SetU32((slot + (int)i) * PointerByteLength, (uint)run.Physical + i);
        }
    }

    /// <summary>The block that a pointer leads to, a new one where it leads nowhere; null when no block is left for it.</summary>
    private MetadataBlock? GetOrAdd(TransactionHandle handle, Inode inode, Span<byte> pointer, ulong goal)
    {
        ulong number = pointer.U32(0);
        if (number != 0)
        {
            return GetPointers(inode, number);
        }

        if (!allocator.Allocate(handle, goal, 1, null, 0, out number, out _))
        {
            return null;
        }

        if (number > uint.MaxValue)
        {
            allocator.Free(handle, number, 1);
            return null;
        }

        pointer.SetU32(0, (uint)number);
        inode.Blocks512 += BlockCount512;
        return cache.GetNew(number, BlockKind.PointerBlock, handle);
    }
}
