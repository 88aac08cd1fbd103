using VDiskCrypt.Core;

namespace VDiskCrypt.Ext4.OnDisk;

/// <summary>
/// A view of a directory entry (ext4_dir_entry_2): inode u32, rec_len u16, name_len u8, file_type u8, name. Source: Linux
/// Documentation/filesystems/ext4/directory.rst. The span starts at the entry and may reach beyond it.
/// </summary>
internal readonly ref struct DirectoryEntryOnDisk(Span<byte> bytes)
{
    public const int HeaderByteLength = 8;
    public const int MaximumNameLength = 255;
    public const byte TypeUnknown = 0;
    public const byte TypeRegular = 1;
    public const byte TypeDirectory = 2;
    public const byte TypeCharacterDevice = 3;
    public const byte TypeBlockDevice = 4;
    public const byte TypeFifo = 5;
    public const byte TypeSocket = 6;
    public const byte TypeSymbolicLink = 7;

    /// <summary>The file_type of the checksum tail of a directory block.</summary>
    public const byte TypeChecksumTail = 0xDE;

    /// <summary>The length of that tail: an entry without inode and name, then the checksum.</summary>
    public const int TailByteLength = 12;

    private readonly Span<byte> _b = bytes;

    public Span<byte> Bytes => _b;

    public uint Inode { get => _b.U32(0); set => _b.SetU32(0, value); }

    public ushort RawLength { get => _b.U16(4); set => _b.SetU16(4, value); }

    public byte NameLength { get => _b[6]; set => _b[6] = value; }

    public byte FileType { get => _b[7]; set => _b[7] = value; }

    public Span<byte> Name => _b.Slice(HeaderByteLength, NameLength);

    /// <summary>The bytes that an entry with such a name takes.</summary>
    public static int ByteLengthFor(int nameLength) => (HeaderByteLength + nameLength + 3) & ~3;

    /// <summary>rec_len to bytes: blocks of 64 KiB and more write their own length as 65535 or 0.</summary>
    public static int DecodeLength(ushort raw, int blockByteSize)
    {
        if (blockByteSize < 65536)
        {
            return raw;
        }

        return raw is ushort.MaxValue or 0 ? blockByteSize : (raw & 65532) | (raw & 3) << 16;
    }

    public static ushort EncodeLength(int byteCount, int blockByteSize)
    {
        if (byteCount < 65536)
        {
            return (ushort)byteCount;
        }

        return byteCount == blockByteSize
            ? (ushort)(blockByteSize == 65536 ? ushort.MaxValue : 0)
            : (ushort)((byteCount & 65532) | (byteCount >> 16 & 3));
    }

    public static byte TypeFromMode(uint mode) => (mode & UnixMode.TypeMask) switch
    {
        UnixMode.Regular => TypeRegular,
        UnixMode.Directory => TypeDirectory,
        UnixMode.CharacterDevice => TypeCharacterDevice,
        UnixMode.BlockDevice => TypeBlockDevice,
        UnixMode.Fifo => TypeFifo,
        UnixMode.Socket => TypeSocket,
        UnixMode.SymbolicLink => TypeSymbolicLink,
        _ => TypeUnknown,
    };

    /// <summary>The type bits of st_mode; 0 where unknown.</summary>
    public static uint TypeToMode(byte type) => type switch
    {
        TypeRegular => UnixMode.Regular,
        TypeDirectory => UnixMode.Directory,
        TypeCharacterDevice => UnixMode.CharacterDevice,
        TypeBlockDevice => UnixMode.BlockDevice,
        TypeFifo => UnixMode.Fifo,
        TypeSocket => UnixMode.Socket,
        TypeSymbolicLink => UnixMode.SymbolicLink,
        _ => 0,
    };
}
