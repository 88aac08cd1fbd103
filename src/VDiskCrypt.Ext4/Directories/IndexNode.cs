using VDiskCrypt.Ext4.OnDisk;

namespace VDiskCrypt.Ext4.Directories;

/// <summary>
/// A view of a block of a directory's hash index: the root (dx_root: "." and "..", dx_root_info, entries) or a node below
/// it (dx_node: an unused entry that spans the block, entries). An entry is a hash and a logical block of the directory;
/// the hash of the first one is 0 and its room holds limit and count. A hash with its low bit set says that names of
/// that hash begin in the block before. Source: Linux Documentation/filesystems/ext4/directory.rst, "Hash Tree Directories".
/// </summary>
internal readonly ref struct IndexNode
{
    public const int RootInfoOffset = 0x18;
    public const int RootInfoByteLength = 8;
    public const int RootEntriesOffset = RootInfoOffset + RootInfoByteLength;
    public const int NodeEntriesOffset = DirectoryEntryOnDisk.HeaderByteLength;
    public const int EntryByteLength = 8;
    public const int TailByteLength = 8;
    private const uint BlockMask = 0x0FFFFFFF;

    private readonly Span<byte> _b;

    public IndexNode(Span<byte> block, bool isRoot)
    {
        _b = block;
        EntriesOffset = isRoot ? RootEntriesOffset : NodeEntriesOffset;
    }

    public IndexNode(in DirectoryBlock block)
        : this(block.Bytes, block.LogicalBlock == 0)
    {
    }

    public int EntriesOffset { get; }

    public int Limit { get => _b.U16(EntriesOffset); set => _b.SetU16(EntriesOffset, (ushort)value); }

    public int Count { get => _b.U16(EntriesOffset + 2); set => _b.SetU16(EntriesOffset + 2, (ushort)value); }

    public bool IsFull => Count >= Limit;

    /// <summary>Root only: dx_root_info.hash_version.</summary>
    public byte HashVersion { get => _b[RootInfoOffset + 4]; set => _b[RootInfoOffset + 4] = value; }

    /// <summary>Root only: dx_root_info.indirect_levels, the levels of nodes between root and leaves.</summary>
    public int Depth { get => _b[RootInfoOffset + 6]; set => _b[RootInfoOffset + 6] = (byte)value; }

    public Span<byte> Bytes => _b;

    public static int LimitOf(DirectoryFormat format, bool isRoot)
    {
        int space = format.BlockByteSize - (isRoot ? RootEntriesOffset : NodeEntriesOffset)
            - (format.HasChecksums ? TailByteLength : 0);
        return space / EntryByteLength;
    }

    public uint Hash(int position) => position == 0 ? 0 : _b.U32(EntriesOffset + position * EntryByteLength);

    public uint Block(int position) => _b.U32(EntriesOffset + position * EntryByteLength + 4) & BlockMask;

    public void SetBlock(int position, uint logicalBlock) =>
        _b.SetU32(EntriesOffset + position * EntryByteLength + 4, logicalBlock);

    /// <summary>The last entry whose hash is not above <paramref name="hash"/>.</summary>
    public int Find(uint hash)
    {
        int low = 1;
        int high = Count;
        while (low < high)
        {
            int middle = (low + high) >> 1;
            if (Hash(middle) > hash)
            {
                high = middle;
            }
            else
            {
                low = middle + 1;
            }
        }

        return low - 1;
    }

    /// <summary>Puts an entry behind <paramref name="position"/>. There is room.</summary>
    public void InsertAfter(int position, uint hash, uint logicalBlock)
    {
        int from = EntriesOffset + (position + 1) * EntryByteLength;
        int end = EntriesOffset + Count * EntryByteLength;
        _b[from..end].CopyTo(_b[(from + EntryByteLength)..]);
        _b.SetU32(from, hash);
        _b.SetU32(from + 4, logicalBlock);
        Count++;
    }

    /// <summary>Entries as bytes; those of position 0 begin with limit and count.</summary>
    public Span<byte> Entries(int position, int count) =>
        _b.Slice(EntriesOffset + position * EntryByteLength, count * EntryByteLength);
}
