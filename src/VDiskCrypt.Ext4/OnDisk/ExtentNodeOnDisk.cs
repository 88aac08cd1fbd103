namespace VDiskCrypt.Ext4.OnDisk;

/// <summary>
/// A view of one node of an extent tree: header of 12 bytes, then entries of 12 bytes (leaf: extents, inner: indexes),
/// then, in blocks of a filesystem with metadata_csum, a checksum. Source: Linux Documentation/filesystems/ext4/ifork.rst.
/// </summary>
internal readonly ref struct ExtentNodeOnDisk(Span<byte> bytes)
{
    public const ushort MagicValue = 0xF30A;
    public const int HeaderByteLength = 12;
    public const int EntryByteLength = 12;
    public const int TailByteLength = 4;

    /// <summary>Entries in i_block.</summary>
    public const int RootCapacity = 4;

    /// <summary>The deepest tree that the format allows.</summary>
    public const int MaximumDepth = 5;

    /// <summary>Lengths above this mark an unwritten extent of (length - this) blocks.</summary>
    public const int MaximumWrittenLength = 32768;

    public const int MaximumUnwrittenLength = 32767;

    private readonly Span<byte> _b = bytes;

    public Span<byte> Bytes => _b;

    public ushort Magic { get => _b.U16(0x0); set => _b.SetU16(0x0, value); }

    public ushort Count { get => _b.U16(0x2); set => _b.SetU16(0x2, value); }

    public ushort Capacity { get => _b.U16(0x4); set => _b.SetU16(0x4, value); }

    /// <summary>0 in a leaf.</summary>
    public ushort Depth { get => _b.U16(0x6); set => _b.SetU16(0x6, value); }

    public uint Generation { get => _b.U32(0x8); set => _b.SetU32(0x8, value); }

    /// <summary>Where the checksum lies in a block of its own.</summary>
    public int TailOffset => HeaderByteLength + Capacity * EntryByteLength;

    public static int CapacityOf(int blockByteSize) => (blockByteSize - HeaderByteLength) / EntryByteLength;

    /// <summary>The first logical block of an entry of either kind.</summary>
    public uint FirstBlock(int index) => _b.U32(Offset(index));

    public void SetFirstBlock(int index, uint value) => _b.SetU32(Offset(index), value);

    /// <summary>The block of the child node (inner nodes).</summary>
    public ulong Child(int index) => _b.U32(Offset(index) + 4) | (ulong)_b.U16(Offset(index) + 8) << 32;

    public void SetIndex(int index, uint firstBlock, ulong child)
    {
        int offset = Offset(index);
        _b.SetU32(offset, firstBlock);
        _b.SetU32(offset + 4, (uint)child);
        _b.SetU16(offset + 8, (ushort)(child >> 32));
        _b.SetU16(offset + 10, 0);
    }

    /// <summary>ee_len as on disk (leaves).</summary>
    public ushort RawLength(int index) => _b.U16(Offset(index) + 4);

    /// <summary>The first physical block (leaves).</summary>
    public ulong Start(int index) => _b.U32(Offset(index) + 8) | (ulong)_b.U16(Offset(index) + 6) << 32;

    public void SetExtent(int index, uint firstBlock, ushort rawLength, ulong start)
    {
        int offset = Offset(index);
        _b.SetU32(offset, firstBlock);
        _b.SetU16(offset + 4, rawLength);
        _b.SetU16(offset + 6, (ushort)(start >> 32));
        _b.SetU32(offset + 8, (uint)start);
    }

    /// <summary>Moves <paramref name="count"/> entries inside this node.</summary>
    public void MoveEntries(int from, int to, int count) =>
        _b.Slice(Offset(from), count * EntryByteLength).CopyTo(_b[Offset(to)..]);

    public Span<byte> Entries(int index, int count) => _b.Slice(Offset(index), count * EntryByteLength);

    public void Initialize(int capacity, int depth)
    {
        Magic = MagicValue;
        Count = 0;
        Capacity = (ushort)capacity;
        Depth = (ushort)depth;
        Generation = 0;
    }

    private static int Offset(int index) => HeaderByteLength + index * EntryByteLength;
}
