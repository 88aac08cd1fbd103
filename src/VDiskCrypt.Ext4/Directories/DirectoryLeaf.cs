using VDiskCrypt.Ext4.OnDisk;

namespace VDiskCrypt.Ext4.Directories;

/// <summary>
/// A block of directory entries as bytes: the entries (ext4_dir_entry_2) follow each other by their rec_len and fill the
/// block, up to the checksum tail where there is one. Source: Linux Documentation/filesystems/ext4/directory.rst, "Linear
/// (Classic) Directories". The block passed <see cref="DirectoryBlockCheck"/>, so that the chain of lengths is sound;
/// every access is bounds-checked all the same.
/// </summary>
internal static class DirectoryLeaf
{
    private const byte Dot = (byte)'.';

    /// <summary>The length of the entry ".".</summary>
    private const int DotByteLength = 12;

    /// <summary>Where the entry ".." lies in the first block.</summary>
    public const int ParentOffset = DotByteLength;

    /// <summary>An empty block: one unused entry, and the tail.</summary>
    public static void Initialize(DirectoryFormat format, Span<byte> block)
    {
        block.Clear();
        WriteEntry(format, block, 0, format.EntriesByteLength, 0, [], 0);
        InitializeTail(format, block);
    }

    /// <summary>The first block of a new directory: ".", ".." and nothing else.</summary>
    public static void InitializeFirst(DirectoryFormat format, Span<byte> block, uint self, uint parent)
    {
        block.Clear();
        WriteDots(format, block, self, parent, format.EntriesByteLength - DotByteLength);
        InitializeTail(format, block);
    }

    /// <summary>Writes "." and a ".." of the given length at the start of a block.</summary>
    public static void WriteDots(DirectoryFormat format, Span<byte> block, uint self, uint parent, int parentByteLength)
    {
        const byte Type = DirectoryEntryOnDisk.TypeDirectory;
        WriteEntry(format, block, 0, DotByteLength, self, [Dot], Type);
        WriteEntry(format, block, ParentOffset, parentByteLength, parent, [Dot, Dot], Type);
    }

    /// <summary>Looks for a name.</summary>
    /// <param name="format">The filesystem's.</param>
    /// <param name="block">All of the block.</param>
    /// <param name="name">Not empty.</param>
    /// <param name="previous">The offset of the entry before it; -1 when it is the first.</param>
    /// <returns>The offset of the entry; -1 when there is none.</returns>
    public static int Find(DirectoryFormat format, ReadOnlySpan<byte> block, ReadOnlySpan<byte> name, out int previous)
    {
        previous = -1;
        int end = format.EntriesByteLength;
        for (int offset = 0; offset < end;)
        {
            if (block[offset + 6] == name.Length && block.U32(offset) != 0
                && block.Slice(offset + DirectoryEntryOnDisk.HeaderByteLength, name.Length).SequenceEqual(name))
            {
                return offset;
            }

            previous = offset;
            offset += LengthAt(format, block, offset);
        }

        previous = -1;
        return -1;
    }

    /// <summary>The rec_len of the entry at an offset in bytes.</summary>
    public static int LengthAt(DirectoryFormat format, ReadOnlySpan<byte> block, int offset)
    {
        int length = DirectoryEntryOnDisk.DecodeLength(block.U16(offset + 4), format.BlockByteSize);

        // A chain that does not move on would never end; the check at loading rules it out, a stray write must not hang us.
        return length >= DirectoryEntryOnDisk.HeaderByteLength
            ? length
            : throw DirectoryBlockCheck.Broken($"a directory entry is {length} bytes long", offset);
    }

    /// <summary>Puts an entry where there is room.</summary>
    /// <returns>False when there is none; the block is unchanged then.</returns>
    public static bool TryInsert(
        DirectoryFormat format, in DirectoryBlock block, IDirectoryBlocks blocks, ReadOnlySpan<byte> name, uint inode, byte fileType)
    {
        int offset = FindRoom(format, block.Bytes, DirectoryEntryOnDisk.ByteLengthFor(name.Length));
        if (offset < 0)
        {
            return false;
        }

        blocks.Modify(block);
        InsertAt(format, block.Bytes, offset, name, inode, fileType);
        return true;
    }

    /// <summary>The offset of the first entry that can hold a new one of this length in its unused part; -1 if none can.</summary>
    public static int FindRoom(DirectoryFormat format, ReadOnlySpan<byte> block, int byteLength)
    {
        int end = format.EntriesByteLength;
        for (int offset = 0; offset < end;)
        {
            int length = LengthAt(format, block, offset);
            if (length - UsedAt(block, offset) >= byteLength)
            {
                return offset;
            }

            offset += length;
        }

        return -1;
    }

    /// <summary>Writes an entry into the unused part of the entry that <see cref="FindRoom"/> found.</summary>
    public static void InsertAt(
        DirectoryFormat format, Span<byte> block, int offset, ReadOnlySpan<byte> name, uint inode, byte fileType)
    {
        int length = LengthAt(format, block, offset);
        int used = UsedAt(block, offset);
        if (used > 0)
        {
            SetLength(format, block, offset, used);
        }

        WriteEntry(format, block, offset + used, length - used, inode, name, fileType);
    }

    /// <summary>Removes an entry: the one before it takes its bytes, the first of a block becomes unused.</summary>
    public static void Remove(DirectoryFormat format, Span<byte> block, int offset, int previous)
    {
        int length = LengthAt(format, block, offset);

        // The name must not survive in the slack.
        block.Slice(offset + DirectoryEntryOnDisk.HeaderByteLength, block[offset + 6]).Clear();
        if (previous >= 0)
        {
            block.Slice(offset, DirectoryEntryOnDisk.HeaderByteLength).Clear();
            SetLength(format, block, previous, offset - previous + length);
        }
        else
        {
            WriteEntry(format, block, offset, length, 0, [], 0);
        }
    }

    public static void WriteEntry(
        DirectoryFormat format, Span<byte> block, int offset, int byteLength, uint inode, ReadOnlySpan<byte> name, byte fileType)
    {
        var entry = new DirectoryEntryOnDisk(block[offset..])
        {
            Inode = inode,
            RawLength = DirectoryEntryOnDisk.EncodeLength(byteLength, format.BlockByteSize),
            NameLength = (byte)name.Length,
            FileType = format.HasFileTypes ? fileType : DirectoryEntryOnDisk.TypeUnknown,
        };
        name.CopyTo(entry.Name);
    }

    public static void SetLength(DirectoryFormat format, Span<byte> block, int offset, int byteLength) =>
        block.SetU16(offset + 4, DirectoryEntryOnDisk.EncodeLength(byteLength, format.BlockByteSize));

    /// <summary>Whether a block holds no entry but "." and "..".</summary>
    public static bool IsEmpty(DirectoryFormat format, ReadOnlySpan<byte> block)
    {
        int end = format.EntriesByteLength;
        for (int offset = 0; offset < end; offset += LengthAt(format, block, offset))
        {
            if (block.U32(offset) != 0 && !IsDotOrDotDot(NameAt(block, offset)))
            {
                return false;
            }
        }

        return true;
    }

    public static ReadOnlySpan<byte> NameAt(ReadOnlySpan<byte> block, int offset) =>
        block.Slice(offset + DirectoryEntryOnDisk.HeaderByteLength, block[offset + 6]);

    public static bool IsDotOrDotDot(ReadOnlySpan<byte> name) =>
        name.Length is 1 or 2 && name[0] == Dot && name[^1] == Dot;

    /// <summary>The bytes that the entry at an offset needs for itself; 0 for an unused one.</summary>
    private static int UsedAt(ReadOnlySpan<byte> block, int offset) =>
        block.U32(offset) == 0 ? 0 : DirectoryEntryOnDisk.ByteLengthFor(block[offset + 6]);

    private static void InitializeTail(DirectoryFormat format, Span<byte> block)
    {
        if (format.HasChecksums)
        {
            Span<byte> tail = block[^DirectoryEntryOnDisk.TailByteLength..];
            tail.Clear();
            tail.SetU16(4, DirectoryEntryOnDisk.TailByteLength);
            tail[7] = DirectoryEntryOnDisk.TypeChecksumTail;
        }
    }
}
