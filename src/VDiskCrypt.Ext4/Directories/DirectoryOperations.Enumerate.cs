using System.Buffers;
using VDiskCrypt.Ext4.OnDisk;

namespace VDiskCrypt.Ext4.Directories;

internal static partial class DirectoryOperations
{
    /// <summary>
    /// The leaves that may share one hash in a listing. Their entries are sorted together; only a directory made to
    /// collide comes near.
    /// </summary>
    private const int CollidingLeafLimit = 1024;

    /// <summary>Keys of "." and ".."; names come behind.</summary>
    private const ulong FirstNameKey = 2;

    /// <summary>Names of one key take the keys behind it: a listing resumes this far back to count them.</summary>
    private const ulong CollidingNameLimit = 4096;

    private const ulong LastNameKey = long.MaxValue - 2 * CollidingNameLimit;

    /// <summary>
    /// Lists the directory from a cookie on (0: from the start) until the visitor has enough.
    /// </summary>
    /// <remarks>
    /// Where directories are indexed, those of one block too, the order is that of the hashes and a cookie is (major hash
    /// without its low bit) * 2^32 + minor hash, as the kernel has it: splitting blocks does not move a name. Elsewhere a
    /// cookie is a byte offset.
    /// </remarks>
    public static void Enumerate(IDirectoryBlocks blocks, ulong cookie, IDirectoryEntryVisitor visitor)
    {
        if (cookie > long.MaxValue)
        {
            return;
        }

        if (blocks.IsIndexed || blocks.BlockCount == 1 && blocks.Format.HasIndexes)
        {
            EnumerateByHash(blocks, cookie, visitor);
        }
        else
        {
            EnumerateByOffset(blocks, cookie, visitor);
        }
    }

    private static void EnumerateByOffset(IDirectoryBlocks blocks, ulong cookie, IDirectoryEntryVisitor visitor)
    {
        DirectoryFormat format = blocks.Format;
        ulong first = cookie / (uint)format.BlockByteSize;
        for (ulong i = first; i < blocks.BlockCount; i++)
        {
            using DirectoryBlock block = blocks.Get((uint)i);
            ulong start = i * (uint)format.BlockByteSize;

            // From the block's start: the entry that the cookie pointed to may have been merged into the one before.
            for (int offset = 0; offset < format.EntriesByteLength;)
            {
                int length = DirectoryLeaf.LengthAt(format, block.Bytes, offset);
                bool isLast = offset + length >= format.EntriesByteLength;
                ulong next = isLast ? start + (uint)format.BlockByteSize : start + (uint)(offset + length);
                if (start + (uint)offset >= cookie && block.Bytes.U32(offset) != 0
                    && !Visit(blocks, block, offset, next, visitor))
                {
                    return;
                }

                offset += length;
            }
        }
    }

    private static void EnumerateByHash(IDirectoryBlocks blocks, ulong cookie, IDirectoryEntryVisitor visitor)
    {
        using (DirectoryBlock first = blocks.Get(0))
        {
            if (cookie < 1 && !Visit(blocks, first, 0, 1, visitor)
                || cookie < FirstNameKey && !Visit(blocks, first, DirectoryLeaf.ParentOffset, FirstNameKey, visitor))
            {
                return;
            }
        }

        int perLeaf = blocks.Format.BlockByteSize / DirectoryEntryOnDisk.TailByteLength;
        LeafEntry[] entries = ArrayPool<LeafEntry>.Shared.Rent(perLeaf);
        try
        {
            if (!blocks.IsIndexed)
            {
                DirectoryHashKind kind = blocks.Format.HashKindOf(blocks.Format.DefaultHashVersion)!.Value;
                int count = CollectLeaf(blocks, 0, kind, entries);
                VisitSorted(blocks, entries.AsSpan(0, count), cookie, visitor);
                return;
            }

            EnumerateLeaves(blocks, cookie, visitor, perLeaf, ref entries);
        }
        finally
        {
            ArrayPool<LeafEntry>.Shared.Return(entries);
        }
    }

    private static void EnumerateLeaves(
        IDirectoryBlocks blocks, ulong cookie, IDirectoryEntryVisitor visitor, int perLeaf, ref LeafEntry[] entries)
    {
        ulong startKey = cookie > CollidingNameLimit ? cookie - CollidingNameLimit : 0;
        uint leaf = DirectoryIndex.Probe(blocks, (uint)(startKey >> 32) << 1, out IndexPath path);
        bool hasMore = true;
        while (hasMore)
        {
            int count = CollectLeaf(blocks, leaf, path.HashKind, entries);
            hasMore = DirectoryIndex.MoveNext(blocks, ref path, out leaf, out uint hash);
            for (int leaves = 1; hasMore && (hash & 1) != 0; leaves++)
            {
                if (leaves == CollidingLeafLimit)
                {
                    throw DirectoryBlockCheck.Damaged(blocks, leaf, 0, $"more than {leaves} blocks hold names of one hash");
                }

                GrowTo(ref entries, count, count + perLeaf);
                count += CollectLeaf(blocks, leaf, path.HashKind, entries.AsSpan(count));
                hasMore = DirectoryIndex.MoveNext(blocks, ref path, out leaf, out hash);
            }

            if (!VisitSorted(blocks, entries.AsSpan(0, count), cookie, visitor))
            {
                return;
            }
        }
    }

    private static int CollectLeaf(IDirectoryBlocks blocks, uint leaf, DirectoryHashKind kind, Span<LeafEntry> entries)
    {
        using DirectoryBlock block = blocks.Get(leaf);
        return LeafEntry.Collect(blocks.Format, block.Bytes, kind, leaf, entries);
    }

    private static void GrowTo(ref LeafEntry[] entries, int count, int capacity)
    {
        if (entries.Length >= capacity)
        {
            return;
        }

        LeafEntry[] larger = ArrayPool<LeafEntry>.Shared.Rent(Math.Max(capacity, entries.Length * 2));
        entries.AsSpan(0, count).CopyTo(larger);
        ArrayPool<LeafEntry>.Shared.Return(entries);
        entries = larger;
    }

    /// <returns>False when the visitor has enough.</returns>
    private static bool VisitSorted(
        IDirectoryBlocks blocks, Span<LeafEntry> entries, ulong cookie, IDirectoryEntryVisitor visitor)
    {
        entries.Sort();
        ulong nextFree = FirstNameKey;
        foreach (LeafEntry entry in entries)
        {
            ulong key = Math.Clamp((ulong)(entry.Major >> 1) << 32 | entry.Minor, FirstNameKey, LastNameKey);
            key = Math.Max(key, nextFree);
            nextFree = key + 1;
            if (key < cookie)
            {
                continue;
            }

            using DirectoryBlock block = blocks.Get(entry.LogicalBlock);
            if (!Visit(blocks, block, entry.Offset, key + 1, visitor))
            {
                return false;
            }
        }

        return true;
    }

    private static bool Visit(
        IDirectoryBlocks blocks, in DirectoryBlock block, int offset, ulong nextCookie, IDirectoryEntryVisitor visitor)
    {
        Read(blocks, block, offset, out uint inode, out byte fileType);
        return visitor.Visit(DirectoryLeaf.NameAt(block.Bytes, offset), inode, fileType, nextCookie);
    }
}
