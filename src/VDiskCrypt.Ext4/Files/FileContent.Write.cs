using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Extents;
using VDiskCrypt.Ext4.Inodes;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4.Files;

/// <content>Writing.</content>
internal sealed partial class FileContent
{
    /// <summary>Times of a file that is overwritten are stored when they are older than this, in nanoseconds (one kernel tick).</summary>
    private const int TimeGrainNs = 4_000_000;

    private const uint SmallestWindow = 16;
    private const uint LargestWindow = 2048;

    [ThreadStatic]
    private static List<(uint First, uint Count)>? _freshOfThread;

    /// <summary>Whether a write keeps apart from others by itself, so that the lock need only be held shared.</summary>
    public bool IsAligned(long byteOffset, int byteCount) => ((byteOffset | (long)byteCount) & _blockMask) == 0;

    /// <summary>Writes; the lock is held, exclusive unless <see cref="IsAligned"/>.</summary>
    public FileSystemError Write(Inode inode, long byteOffset, ReadOnlySpan<byte> source, out int byteCount)
    {
        byteCount = 0;
        if (source.Length > MaximumSizeOf(inode) - byteOffset)
        {
            return FileSystemError.FileTooBig;
        }

        while (byteCount < source.Length)
        {
            ReadOnlySpan<byte> rest = source[byteCount..];
            FileSystemError error = WritePart(inode, byteOffset + byteCount, rest, out int part);
            byteCount += part;
            if (error != FileSystemError.None)
            {
                return error;
            }
        }

        return FileSystemError.None;
    }

    private FileSystemError WritePart(Inode inode, long byteOffset, ReadOnlySpan<byte> source, out int byteCount)
    {
        var first = (uint)(byteOffset >> _blockBits);
        var last = (uint)((byteOffset + source.Length - 1) >> _blockBits);
        UnixTime now = UnixTime.Now;
        byteCount = source.Length;
        if (byteOffset + source.Length <= inode.Size && IsOldTime(inode, now) == false && IsAllData(inode, first, last))
        {
            WriteRuns(inode, byteOffset, source, null);
            return FileSystemError.None;
        }

        List<(uint First, uint Count)> fresh = _freshOfThread ??= [];
        fresh.Clear();
        Transaction transaction;
        using (TransactionHandle handle = _log.Begin(MapCredits))
        {
            lock (inode.Map)
            {
                ulong mappedEnd = MapForWrite(handle, inode, first, last, fresh);
                long end = Math.Min(byteOffset + source.Length, (long)(mappedEnd << _blockBits));
                byteCount = (int)Math.Max(0, end - byteOffset);
                bool grows = byteCount > 0 && end > inode.Size;
                if (grows)
                {
                    inode.Size = end;
                }

                if (byteCount > 0)
                {
                    inode.ModifyTime = now;
                    inode.ChangeTime = now;
                }

                _inodes.Save(handle, inode, grows || fresh.Count > 0);
                foreach ((uint freshFirst, uint freshCount) in fresh)
                {
                    inode.Pending.Add(freshFirst, freshCount);
                }
            }

            transaction = handle.Transaction;
            transaction.BeginData();
            handle.Complete();
        }

        if (byteCount == 0)
        {
            EndWrite(inode, transaction, fresh);
            return FileSystemError.NoSpace;
        }

        try
        {
            WriteRuns(inode, byteOffset, source[..byteCount], fresh);
        }
        catch
        {
            Unwrite(inode, fresh);
            throw;
        }
        finally
        {
            EndWrite(inode, transaction, fresh);
        }

        return FileSystemError.None;
    }

    private static void EndWrite(Inode inode, Transaction transaction, List<(uint First, uint Count)> fresh)
    {
        foreach ((uint first, uint count) in fresh)
        {
            inode.Pending.Remove(first, count);
        }

        transaction.EndData();
    }

    private static bool IsOldTime(Inode inode, UnixTime now) =>
        now.Seconds != inode.ModifyTime.Seconds || now.Nanoseconds - (long)inode.ModifyTime.Nanoseconds > TimeGrainNs
        || inode.ChangeTime.CompareTo(inode.ModifyTime) < 0;

    private bool IsAllData(Inode inode, uint first, uint last)
    {
        for (ulong block = first; block <= last;)
        {
            Mapping mapping = Map(inode, (uint)block);
            if (!mapping.IsData)
            {
                return false;
            }

            block = mapping.End;
        }

        return true;
    }

    /// <summary>Gives every block of the range a written mapping, as far as space and one handle go.</summary>
    /// <returns>The first block that has none.</returns>
    private ulong MapForWrite(
        TransactionHandle handle, Inode inode, uint first, uint last, List<(uint First, uint Count)> fresh)
    {
        ulong block = first;
        while (block <= last && fresh.Count < RunsPerHandle)
        {
            Mapping mapping = MapLocked(inode, (uint)block);
            var count = (uint)(Math.Min(mapping.End, (ulong)last + 1) - block);
            if (mapping.IsHole)
            {
                if (!MapHole(handle, inode, (uint)block, ref count, false, IsAtEnd(inode, (uint)block, mapping)))
                {
                    return block;
                }

                fresh.Add(((uint)block, count));
            }
            else if (mapping.IsUnwritten)
            {
                if (!_extents.Convert(handle, inode, (uint)block, count, toUnwritten: false))
                {
                    return block;
                }

                fresh.Add(((uint)block, count));
            }

            block += count;
        }

        return block;
    }

    /// <summary>Whether a hole goes on to the end of the file: the file grows there.</summary>
    private bool IsAtEnd(Inode inode, uint block, in Mapping hole) =>
        inode.HasExtents ? hole.End == ExtentTree.BlockLimit : (long)block << _blockBits >= inode.Size;

    /// <summary>Allocates one run for the start of a hole.</summary>
    private bool MapHole(TransactionHandle handle, Inode inode, uint block, ref uint count, bool asUnwritten, bool isAtEnd)
    {
        uint wanted = Math.Min(
            count, inode.HasExtents ? ExtentTree.LongestRun(asUnwritten) : Math.Max(_indirect.RunLimit(block), 1));
        uint window = isAtEnd && inode.Blocks512 > 0
            ? (uint)Math.Clamp(inode.Blocks512 >> (_blockBits - 9), SmallestWindow, LargestWindow)
            : 0;
        if (!_blocks.Allocate(
            handle, Goal(inode, block), wanted, isAtEnd ? inode.Window : null, window, out ulong start, out count))
        {
            return false;
        }

        var run = new Mapping(block, count, start, asUnwritten);
        if (!(inode.HasExtents ? _extents.Insert(handle, inode, run) : _indirect.Insert(handle, inode, run)))
        {
            _blocks.Free(handle, start, count);
            return false;
        }

        inode.Blocks512 += (ulong)count << (_blockBits - 9);
        return true;
    }

    /// <summary>Writes into mapped blocks; the parts of fresh blocks that the caller does not give become zeros.</summary>
    private void WriteRuns(Inode inode, long byteOffset, ReadOnlySpan<byte> source, List<(uint First, uint Count)>? fresh)
    {
        for (int done = 0; done < source.Length;)
        {
            long position = byteOffset + done;
            var block = (uint)(position >> _blockBits);
            int inBlock = (int)position & _blockMask;
            Mapping mapping = Map(inode, block);
            if (!mapping.IsData)
            {
                throw new VDiskException(
                    FailureKind.Internal, "a block lost its mapping while it was written", $"ext4 inode {inode.Number}");
            }

            var device = (long)((mapping.Physical + (block - mapping.First)) << _blockBits);
            int part = (int)Math.Min(source.Length - done, (long)((mapping.End - block) << _blockBits) - inBlock);
            bool isPartial = inBlock != 0 || part < _geometry.BlockByteSize;
            if (isPartial && fresh is not null && IsFresh(fresh, block))
            {
                part = Math.Min(part, _geometry.BlockByteSize - inBlock);
                WritePadded(device, inBlock, source.Slice(done, part));
            }
            else
            {
                int tail = (inBlock + part) & _blockMask;
                if (tail != 0 && part > tail && fresh is not null && IsFresh(fresh, (uint)((position + part) >> _blockBits)))
                {
                    // The partial block at the end gets its turn alone.
                    part -= tail;
                }

                _device.Write(device + inBlock, source.Slice(done, part));
            }

            done += part;
        }
    }

    private void WritePadded(long deviceOffset, int inBlock, ReadOnlySpan<byte> source)
    {
        using AlignedBuffer buffer = AlignedBuffer.Rent(_geometry.BlockByteSize);
        buffer.Span.Clear();
        source.CopyTo(buffer.Span[inBlock..]);
        _device.Write(deviceOffset, buffer.Span);
    }

    private static bool IsFresh(List<(uint First, uint Count)> fresh, uint block)
    {
        foreach ((uint first, uint count) in fresh)
        {
            if (block - first < count)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>
    /// The data did not arrive: blocks that would show what was on the device before read as zeros again. A commit may be
    /// waiting for this write, so the handle does not wait for a commit.
    /// </summary>
    private void Unwrite(Inode inode, List<(uint First, uint Count)> fresh)
    {
        if (fresh.Count == 0 || _log.IsAborted)
        {
            return;
        }

        using TransactionHandle handle = _log.BeginUrgent(MapCredits);
        lock (inode.Map)
        {
            foreach ((uint first, uint count) in fresh)
            {
                if (!TakeBack(handle, inode, first, count))
                {
                    _log.Abort("a failed write could not be taken back", null);
                    return;
                }
            }

            _inodes.Save(handle, inode, changesData: true);
        }

        handle.Complete();
    }

    /// <summary>A block map has no unwritten blocks: there the range becomes a hole again.</summary>
    private bool TakeBack(TransactionHandle handle, Inode inode, uint first, uint count)
    {
        if (inode.HasExtents)
        {
            return _extents.Convert(handle, inode, first, count, toUnwritten: true);
        }

        while (_indirect.Remove(handle, inode, first, first + count - 1) == RemoveOutcome.Restart)
        {
            // Each round frees something. The handle stays open: half of a write taken back would show old bytes.
        }

        return true;
    }
}
