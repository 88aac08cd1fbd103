using VDiskCrypt.Core;

namespace VDiskCrypt.Ext4.OnDisk;

/// <summary>
/// A view of one inode of s_inode_size (128 to the block size) bytes. Source: Linux
/// Documentation/filesystems/ext4/inodes.rst. Setters of fields beyond i_extra_isize do nothing and their getters give 0.
/// </summary>
internal readonly ref struct InodeOnDisk(Span<byte> bytes)
{
    /// <summary>The inode of ext2; what follows is i_extra_isize long, then come in-inode attributes.</summary>
    public const int GoodOldByteLength = 128;

    public const int BlockOffset = 0x28;
    public const int BlockByteLength = 60;
    public const int ChecksumLowOffset = 0x7C;
    public const int ChecksumHighOffset = 0x82;
    public const int GenerationOffset = 0x64;

    private readonly Span<byte> _b = bytes;

    public Span<byte> Bytes => _b;

    public ushort Mode { get => _b.U16(0x0); set => _b.SetU16(0x0, value); }

    public uint UserId
    {
        get => _b.U16(0x2) | (uint)_b.U16(0x78) << 16;
        set
        {
            _b.SetU16(0x2, (ushort)value);
            _b.SetU16(0x78, (ushort)(value >> 16));
        }
    }

    public uint GroupId
    {
        get => _b.U16(0x18) | (uint)_b.U16(0x7A) << 16;
        set
        {
            _b.SetU16(0x18, (ushort)value);
            _b.SetU16(0x7A, (ushort)(value >> 16));
        }
    }

    public ulong Size
    {
        get => _b.U32(0x4) | (ulong)_b.U32(0x6C) << 32;
        set
        {
            _b.SetU32(0x4, (uint)value);
            _b.SetU32(0x6C, (uint)(value >> 32));
        }
    }

    /// <summary>i_dtime; for an orphan the next inode of the orphan list.</summary>
    public uint DeletionTime { get => _b.U32(0x14); set => _b.SetU32(0x14, value); }

    public ushort LinkCount { get => _b.U16(0x1A); set => _b.SetU16(0x1A, value); }

    /// <summary>48 bits; units of 512 bytes, or of blocks with <see cref="InodeFlags.HugeFile"/>.</summary>
    public ulong Blocks
    {
        get => _b.U32(0x1C) | (ulong)_b.U16(0x74) << 32;
        set
        {
            _b.SetU32(0x1C, (uint)value);
            _b.SetU16(0x74, (ushort)(value >> 32));
        }
    }

    public InodeFlags Flags { get => (InodeFlags)_b.U32(0x20); set => _b.SetU32(0x20, (uint)value); }

    /// <summary>i_block: the extent root, block pointers, a fast symlink's target or a device number.</summary>
    public Span<byte> Block => _b.Slice(BlockOffset, BlockByteLength);

    public uint Generation { get => _b.U32(GenerationOffset); set => _b.SetU32(GenerationOffset, value); }

    /// <summary>i_file_acl: the block of extended attributes.</summary>
    public ulong AttributeBlock
    {
        get => _b.U32(0x68) | (ulong)_b.U16(0x76) << 32;
        set
        {
            _b.SetU32(0x68, (uint)value);
            _b.SetU16(0x76, (ushort)(value >> 32));
        }
    }

    public ushort ExtraSize
    {
        get => _b.Length > GoodOldByteLength ? _b.U16(0x80) : (ushort)0;
        set => _b.SetU16(0x80, value);
    }

    /// <summary>The bytes behind i_extra_isize, where in-inode attributes live (their magic number first); may be empty.</summary>
    public Span<byte> AttributeSpace =>
        _b.Length > GoodOldByteLength && GoodOldByteLength + ExtraSize <= _b.Length
            ? _b[(GoodOldByteLength + ExtraSize)..]
            : [];

    public UnixTime AccessTime { get => ReadTime(0x8, 0x8C); set => WriteTime(0x8, 0x8C, value); }

    public UnixTime ChangeTime { get => ReadTime(0xC, 0x84); set => WriteTime(0xC, 0x84, value); }

    public UnixTime ModifyTime { get => ReadTime(0x10, 0x88); set => WriteTime(0x10, 0x88, value); }

    public UnixTime BirthTime
    {
        get => Fits(0x90, 4) ? ReadTime(0x90, 0x94) : default;
        set
        {
            if (Fits(0x90, 4))
            {
                WriteTime(0x90, 0x94, value);
            }
        }
    }

    /// <summary>Whether a field lies inside what i_extra_isize says exists.</summary>
    public bool Fits(int byteOffset, int byteCount) =>
        _b.Length > GoodOldByteLength && byteOffset + byteCount <= GoodOldByteLength + ExtraSize
        && byteOffset + byteCount <= _b.Length;

    /// <summary>
    /// Seconds are 32 bits, signed, plus (with the extra word) two epoch bits that count from 2^32 on; its other 30 bits
    /// are nanoseconds. So 1901-12-13 to 2446-05-10.
    /// </summary>
    private UnixTime ReadTime(int offset, int extraOffset)
    {
        long seconds = (int)_b.U32(offset);
        if (!Fits(extraOffset, 4))
        {
            return new UnixTime(seconds, 0);
        }

        uint extra = _b.U32(extraOffset);
        seconds += (long)(extra & 3) << 32;
        return new UnixTime(seconds, (int)Math.Min(extra >> 2, 999_999_999));
    }

    private void WriteTime(int offset, int extraOffset, UnixTime time)
    {
        bool hasExtra = Fits(extraOffset, 4);
        long latest = hasExtra ? int.MaxValue + (3L << 32) : int.MaxValue;
        long seconds = Math.Clamp(time.Seconds, int.MinValue, latest);
        _b.SetU32(offset, (uint)seconds);
        if (hasExtra)
        {
            uint epoch = (uint)((seconds - (int)seconds) >> 32) & 3;
            _b.SetU32(extraOffset, (uint)time.Nanoseconds << 2 | epoch);
        }
    }
}
