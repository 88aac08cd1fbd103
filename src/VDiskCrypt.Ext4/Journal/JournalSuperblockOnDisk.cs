using VDiskCrypt.Core;

namespace VDiskCrypt.Ext4.Journal;

/// <summary>
/// A view of the journal's superblock: the first 1024 bytes of its first block, big-endian. Everything that changes lies
/// in the first 512 bytes, so a write of it is never torn. Source: Linux Documentation/filesystems/ext4/journal.rst.
/// </summary>
internal readonly ref struct JournalSuperblockOnDisk(Span<byte> bytes)
{
    public const int ByteLength = 1024;
    public const int UuidByteLength = 16;
    public const byte ChecksumTypeCrc32C = 4;

    /// <summary>Features, UUID and checksum begin here; a superblock of version 1 ends here.</summary>
    public const int VersionOneByteLength = 0x24;

    private const int ChecksumOffset = 0xFC;

    private readonly Span<byte> _b = bytes[..ByteLength];

    public uint Magic { get => _b.Be32(0x0); set => _b.SetBe32(0x0, value); }

    /// <summary>3 or 4: the version.</summary>
    public uint BlockType { get => _b.Be32(0x4); set => _b.SetBe32(0x4, value); }

    public uint BlockByteSize { get => _b.Be32(0xC); set => _b.SetBe32(0xC, value); }

    /// <summary>Blocks of the journal, the superblock's included.</summary>
    public uint BlockCount { get => _b.Be32(0x10); set => _b.SetBe32(0x10, value); }

    /// <summary>The first block of the log.</summary>
    public uint First { get => _b.Be32(0x14); set => _b.SetBe32(0x14, value); }

    /// <summary>The first transaction that may be in the log.</summary>
    public uint Sequence { get => _b.Be32(0x18); set => _b.SetBe32(0x18, value); }

    /// <summary>Where that transaction begins; 0: the log is empty.</summary>
    public uint Start { get => _b.Be32(0x1C); set => _b.SetBe32(0x1C, value); }

    /// <summary>A negative errno once the journal was given up.</summary>
    public int ErrorNumber { get => (int)_b.Be32(0x20); set => _b.SetBe32(0x20, (uint)value); }

    public uint Compatible { get => _b.Be32(0x24); set => _b.SetBe32(0x24, value); }

    public JournalIncompatibleFeatures Incompatible
    {
        get => (JournalIncompatibleFeatures)_b.Be32(0x28);
        set => _b.SetBe32(0x28, (uint)value);
    }

    public uint ReadOnlyCompatible { get => _b.Be32(0x2C); set => _b.SetBe32(0x2C, value); }

    public Span<byte> Uuid => _b.Slice(0x30, UuidByteLength);

    public uint UserCount { get => _b.Be32(0x40); set => _b.SetBe32(0x40, value); }

    public byte ChecksumType { get => _b[0x50]; set => _b[0x50] = value; }

    /// <summary>s_num_fc_blks: blocks at the end that hold fast commits; 0 stands for 256.</summary>
    public uint FastCommitBlockCount { get => _b.Be32(0x54); set => _b.SetBe32(0x54, value); }

    /// <summary>s_head: where an empty log goes on. A hint of newer kernels.</summary>
    public uint Head { get => _b.Be32(0x58); set => _b.SetBe32(0x58, value); }

    public uint Checksum { get => _b.Be32(ChecksumOffset); set => _b.SetBe32(ChecksumOffset, value); }

    /// <summary>CRC-32C (bare register) over the 1024 bytes with the checksum as zero.</summary>
    public uint ComputeChecksum()
    {
        uint crc = Crc32C.Update(uint.MaxValue, _b[..ChecksumOffset]);
        crc = Crc32C.Update(crc, [0, 0, 0, 0]);
        return Crc32C.Update(crc, _b[(ChecksumOffset + 4)..]);
    }
}
