using System.Buffers.Binary;

namespace VDiskCrypt.Images;

/// <summary>The header of one copy of a GPT ([UEFI] 2.10, 5.3.2): 92 bytes, little-endian, in a sector of its own.</summary>
internal sealed record GptHeader
{
    public const int ByteSize = 92;
    public const int EntryByteSize = 128;
    public const int UsualEntryCount = 128;

    private const ulong Signature = 0x5452_4150_2049_4645;
    private const uint Revision = 0x0001_0000;
    private const int ChecksumOffset = 16;

    public long OwnSector { get; init; }

    public long OtherSector { get; init; }

    public long FirstUsableSector { get; init; }

    public long LastUsableSector { get; init; }

    public Guid DiskId { get; init; }

    public long EntriesSector { get; init; }

    public uint EntryCount { get; init; } = UsualEntryCount;

    public uint EntrySize { get; init; } = EntryByteSize;

    public uint EntriesChecksum { get; init; }

    public static bool HasSignature(ReadOnlySpan<byte> sector) => BinaryPrimitives.ReadUInt64LittleEndian(sector) == Signature;

    /// <summary>Null where signature, size or checksum are wrong.</summary>
    public static GptHeader? Parse(ReadOnlySpan<byte> sector)
    {
        uint byteSize = BinaryPrimitives.ReadUInt32LittleEndian(sector[12..]);
        if (!HasSignature(sector) || byteSize < ByteSize || byteSize > sector.Length)
        {
            return null;
        }

        Span<byte> header = stackalloc byte[4096];
        header = header[..(int)byteSize];
        sector[..(int)byteSize].CopyTo(header);
        header.Slice(ChecksumOffset, sizeof(uint)).Clear();
        if (Crc32.Compute(header) != BinaryPrimitives.ReadUInt32LittleEndian(sector[ChecksumOffset..]))
        {
            return null;
        }

        return new GptHeader
        {
            OwnSector = BinaryPrimitives.ReadInt64LittleEndian(sector[24..]),
            OtherSector = BinaryPrimitives.ReadInt64LittleEndian(sector[32..]),
            FirstUsableSector = BinaryPrimitives.ReadInt64LittleEndian(sector[40..]),
            LastUsableSector = BinaryPrimitives.ReadInt64LittleEndian(sector[48..]),
            DiskId = new Guid(sector[56..72]),
            EntriesSector = BinaryPrimitives.ReadInt64LittleEndian(sector[72..]),
            EntryCount = BinaryPrimitives.ReadUInt32LittleEndian(sector[80..]),
            EntrySize = BinaryPrimitives.ReadUInt32LittleEndian(sector[84..]),
            EntriesChecksum = BinaryPrimitives.ReadUInt32LittleEndian(sector[88..]),
        };
    }

    /// <summary>Fills the start of a zeroed sector.</summary>
    public void WriteTo(Span<byte> sector)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(sector, Signature);
        BinaryPrimitives.WriteUInt32LittleEndian(sector[8..], Revision);
        BinaryPrimitives.WriteUInt32LittleEndian(sector[12..], ByteSize);
        BinaryPrimitives.WriteInt64LittleEndian(sector[24..], OwnSector);
        BinaryPrimitives.WriteInt64LittleEndian(sector[32..], OtherSector);
        BinaryPrimitives.WriteInt64LittleEndian(sector[40..], FirstUsableSector);
        BinaryPrimitives.WriteInt64LittleEndian(sector[48..], LastUsableSector);
        DiskId.TryWriteBytes(sector[56..]);
        BinaryPrimitives.WriteInt64LittleEndian(sector[72..], EntriesSector);
        BinaryPrimitives.WriteUInt32LittleEndian(sector[80..], EntryCount);
        BinaryPrimitives.WriteUInt32LittleEndian(sector[84..], EntrySize);
        BinaryPrimitives.WriteUInt32LittleEndian(sector[88..], EntriesChecksum);
        BinaryPrimitives.WriteUInt32LittleEndian(sector[ChecksumOffset..], Crc32.Compute(sector[..ByteSize]));
    }
}
