namespace VDiskCrypt.Ext4.OnDisk;

/// <summary>
/// A view of one block group descriptor of 32 bytes, or with the 64bit feature s_desc_size (64) bytes. Source: Linux
/// Documentation/filesystems/ext4/group_descr.rst.
/// </summary>
internal readonly ref struct GroupDescriptorOnDisk(Span<byte> bytes)
{
    public const int SmallByteLength = 32;
    public const int LargeByteLength = 64;
    public const int ChecksumOffset = 0x1E;

    private readonly Span<byte> _b = bytes;

    public Span<byte> Bytes => _b;

    public ulong BlockBitmap { get => Join32(0x0, 0x20); set => Split32(0x0, 0x20, value); }

    public ulong InodeBitmap { get => Join32(0x4, 0x24); set => Split32(0x4, 0x24, value); }

    public ulong InodeTable { get => Join32(0x8, 0x28); set => Split32(0x8, 0x28, value); }

    public uint FreeBlockCount { get => Join16(0xC, 0x2C); set => Split16(0xC, 0x2C, value); }

    public uint FreeInodeCount { get => Join16(0xE, 0x2E); set => Split16(0xE, 0x2E, value); }

    public uint DirectoryCount { get => Join16(0x10, 0x30); set => Split16(0x10, 0x30, value); }

    public GroupFlags Flags { get => (GroupFlags)_b.U16(0x12); set => _b.SetU16(0x12, (ushort)value); }

    public uint BlockBitmapChecksum { get => Join16(0x18, 0x38); set => Split16(0x18, 0x38, value); }

    public uint InodeBitmapChecksum { get => Join16(0x1A, 0x3A); set => Split16(0x1A, 0x3A, value); }

    /// <summary>Inodes at the end of the table that were never used.</summary>
    public uint UnusedInodeCount { get => Join16(0x1C, 0x32); set => Split16(0x1C, 0x32, value); }

    public ushort Checksum { get => _b.U16(ChecksumOffset); set => _b.SetU16(ChecksumOffset, value); }

    /// <summary>Whether bitmap checksums have all 32 bits here.</summary>
    public bool HasHighHalf => _b.Length >= LargeByteLength;

    private ulong Join32(int low, int high) => HasHighHalf ? _b.U32(low) | (ulong)_b.U32(high) << 32 : _b.U32(low);

    private void Split32(int low, int high, ulong value)
    {
        _b.SetU32(low, (uint)value);
        if (HasHighHalf)
        {
            _b.SetU32(high, (uint)(value >> 32));
        }
    }

    private uint Join16(int low, int high) => HasHighHalf ? _b.U16(low) | (uint)_b.U16(high) << 16 : _b.U16(low);

    private void Split16(int low, int high, uint value)
    {
        _b.SetU16(low, (ushort)value);
        if (HasHighHalf)
        {
            _b.SetU16(high, (ushort)(value >> 16));
        }
    }
}
