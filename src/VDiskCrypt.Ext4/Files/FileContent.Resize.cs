using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Extents;
using VDiskCrypt.Ext4.Inodes;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4.Files;

/// <content>Truncation, allocation ahead, holes and zeros. The lock is held exclusive.</content>
internal sealed partial class FileContent
{
    /// <summary>Changes the size, both ways, and the times.</summary>
    public FileSystemError Resize(Inode inode, long size)
    {
        if (size > MaximumSizeOf(inode))
        {
            return FileSystemError.FileTooBig;
        }

        bool shrinks = size < inode.Size;
        if (shrinks)
        {
            ZeroMapped(inode, size, Math.Min(inode.Size, (size + _blockMask) & ~(long)_blockMask));
            _blocks.DropWindow(inode.Window);
        }

        using TransactionHandle handle = _log.Begin(MapCredits);
        inode.Size = size;
        inode.ModifyTime = inode.ChangeTime = UnixTime.Now;
        if (shrinks && NeedsOrphan(inode))
        {
            _orphans.Add(handle, inode.Number);
        }

        _inodes.Save(handle, inode, changesData: true);
        if (shrinks)
        {
            RemoveBlocks(handle, inode, (uint)((size + _blockMask) >> _blockBits));
            if (inode.LinkCount > 0)
            {
                // Without a name it stays an orphan until its last reference is dropped.
                _orphans.Remove(handle, inode.Number);
            }
        }

        handle.Complete();
        return FileSystemError.None;
    }

    /// <summary>
    /// Unmaps everything from a block on, in as many handles as it takes; the inode is on the orphan list where it may take
    /// more than one.
    /// </summary>
    public void RemoveBlocks(TransactionHandle handle, Inode inode, uint first)
    {
        if (!HasMap(inode))
        {
            return;
        }

        while (true)
        {
            RemoveOutcome outcome;
            lock (inode.Map)
            {
                outcome = Unmap(handle, inode, first, (uint)(ExtentTree.BlockLimit - 1));
                _inodes.Save(handle, inode, changesData: true);
            }

            if (outcome == RemoveOutcome.Done)
            {
                return;
            }

            handle.Restart();
        }
    }

    /// <summary>Removes what a truncation that was interrupted left behind the end of the file.</summary>
    public void FinishTruncation(Inode inode)
    {
        long end = (inode.Size + _blockMask) & ~(long)_blockMask;
        ZeroMapped(inode, inode.Size, end);
        using TransactionHandle handle = _log.Begin(MapCredits);
        RemoveBlocks(handle, inode, (uint)(end >> _blockBits));
        _orphans.Remove(handle, inode.Number);
        handle.Complete();
    }

    /// <summary>fallocate.</summary>
    public FileSystemError Allocate(Inode inode, AllocateFlags flags, long byteOffset, long byteCount)
    {
        if (byteOffset < 0 || byteCount <= 0)
        {
            return FileSystemError.InvalidArgument;
        }

        // As in the kernel: a block map has no unwritten blocks, so there is nothing to allocate ahead.
        if (!inode.HasExtents && (flags & AllocateFlags.PunchHole) == 0)
        {
            return FileSystemError.NotSupported;
        }

        if (byteCount > MaximumSizeOf(inode) - byteOffset)
        {
            return FileSystemError.FileTooBig;
        }

        switch (flags)
        {
            case AllocateFlags.None:
            case AllocateFlags.KeepSize:
                return Reserve(inode, byteOffset, byteCount, (flags & AllocateFlags.KeepSize) != 0);
            case AllocateFlags.PunchHole | AllocateFlags.KeepSize:
                return PunchHole(inode, byteOffset, byteCount);
            case AllocateFlags.ZeroRange:
            case AllocateFlags.ZeroRange | AllocateFlags.KeepSize:
                return ZeroRange(inode, byteOffset, byteCount, (flags & AllocateFlags.KeepSize) != 0);
            default:
                return FileSystemError.NotSupported;
        }
    }

    private RemoveOutcome Unmap(TransactionHandle handle, Inode inode, uint first, uint last) =>
        inode.HasExtents ? _extents.Remove(handle, inode, first, last) : _indirect.Remove(handle, inode, first, last);

    /// <summary>Whether i_block leads to blocks, and is no device number or target.</summary>
    private static bool HasMap(Inode inode) =>
        inode.HasExtents || inode.IsRegular || inode.IsDirectory || inode.IsSymbolicLink && !IsFastTarget(inode);

    private static bool NeedsOrphan(Inode inode) =>
        !inode.HasExtents || new OnDisk.ExtentNodeOnDisk(inode.Block).Depth > 0;

    private FileSystemError Reserve(Inode inode, long byteOffset, long byteCount, bool keepSize)
    {
        var first = (uint)(byteOffset >> _blockBits);
        var last = (uint)((byteOffset + byteCount - 1) >> _blockBits);
        FileSystemError error = MapUnwritten(inode, first, last);
        return error == FileSystemError.None ? Touch(inode, keepSize ? 0 : byteOffset + byteCount) : error;
    }

    private FileSystemError PunchHole(Inode inode, long byteOffset, long byteCount)
    {
        long end = byteOffset + byteCount;
        long firstWhole = (byteOffset + _blockMask) & ~(long)_blockMask;
        long lastWhole = end & ~(long)_blockMask;
        ZeroEdges(inode, byteOffset, end, firstWhole, lastWhole);
        if (firstWhole < lastWhole)
        {
            var first = (uint)(firstWhole >> _blockBits);
            var last = (uint)((lastWhole >> _blockBits) - 1);
            _blocks.DropWindow(inode.Window);
            RemoveOutcome outcome;
            using TransactionHandle handle = _log.Begin(MapCredits);
            do
            {
                lock (inode.Map)
                {
                    outcome = Unmap(handle, inode, first, last);
                    _inodes.Save(handle, inode, changesData: true);
                }

                if (outcome == RemoveOutcome.Restart)
                {
                    handle.Restart();
                }
            }
            while (outcome == RemoveOutcome.Restart);
            handle.Complete();
            if (outcome == RemoveOutcome.NoSpace)
            {
                return FileSystemError.NoSpace;
            }
        }

        return Touch(inode, 0);
    }

    private FileSystemError ZeroRange(Inode inode, long byteOffset, long byteCount, bool keepSize)
    {
        long end = byteOffset + byteCount;
        long firstWhole = (byteOffset + _blockMask) & ~(long)_blockMask;
        long lastWhole = end & ~(long)_blockMask;
        ZeroEdges(inode, byteOffset, end, firstWhole, lastWhole);
        if (firstWhole < lastWhole)
        {
            using TransactionHandle handle = _log.Begin(MapCredits);
            bool isConverted;
            lock (inode.Map)
            {
                var first = (uint)(firstWhole >> _blockBits);
                isConverted = _extents.Convert(handle, inode, first, (uint)(lastWhole >> _blockBits) - first, toUnwritten: true);
                _inodes.Save(handle, inode, changesData: true);
            }

            handle.Complete();
            if (!isConverted)
            {
                return FileSystemError.NoSpace;
            }
        }

        return Reserve(inode, byteOffset, byteCount, keepSize);
    }

    private void ZeroEdges(Inode inode, long start, long end, long firstWhole, long lastWhole)
    {
        if (firstWhole > lastWhole)
        {
            ZeroMapped(inode, start, end);
            return;
        }

        ZeroMapped(inode, start, firstWhole);
        ZeroMapped(inode, lastWhole, end);
    }

    /// <summary>Zeros bytes inside one block, if it holds data.</summary>
    private void ZeroMapped(Inode inode, long start, long end)
    {
        if (start >= end)
        {
            return;
        }

        var block = (uint)(start >> _blockBits);
        Mapping mapping = Map(inode, block);
        if (mapping.IsData)
        {
            Span<byte> zeros = stackalloc byte[(int)(end - start)];
            zeros.Clear();
            _device.Write(
                (long)((mapping.Physical + (block - mapping.First)) << _blockBits) + (start & _blockMask), zeros);
        }
    }

    /// <summary>Gives the holes of a range blocks that read as zeros.</summary>
    private FileSystemError MapUnwritten(Inode inode, uint first, uint last)
    {
        ulong block = first;
        while (block <= last)
        {
            using TransactionHandle handle = _log.Begin(MapCredits);
            bool isFull = false;
            lock (inode.Map)
            {
                for (int runs = 0; block <= last && runs < RunsPerHandle; runs++)
                {
                    Mapping mapping = MapLocked(inode, (uint)block);
                    var count = (uint)(Math.Min(mapping.End, (ulong)last + 1) - block);
                    if (mapping.IsHole && !MapHole(handle, inode, (uint)block, ref count, true, isAtEnd: false))
                    {
                        isFull = true;
                        break;
                    }

                    block += count;
                }

                _inodes.Save(handle, inode, changesData: true);
            }

            handle.Complete();
            if (isFull)
            {
                return FileSystemError.NoSpace;
            }
        }

        return FileSystemError.None;
    }

    /// <summary>Stores new times and, if it is larger, a new size.</summary>
    private FileSystemError Touch(Inode inode, long size)
    {
        using TransactionHandle handle = _log.Begin(MapCredits);
        bool grows = size > inode.Size;
        inode.Size = grows ? size : inode.Size;
        inode.ModifyTime = inode.ChangeTime = UnixTime.Now;
        _inodes.Save(handle, inode, grows);
        handle.Complete();
        return FileSystemError.None;
    }
}
