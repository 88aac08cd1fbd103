using System.Buffers.Binary;

namespace VDiskCrypt.Images.Vhdx;

/// <summary>
/// One entry of the log ([MS-VHDX] 2.3.1): a header of 64 bytes, descriptors of 32, padding to 4096, and one sector for
/// each data descriptor. A data sector loses its first 8 and last 4 bytes to a signature and a sequence number; the
/// descriptor keeps them.
/// </summary>
internal sealed class VhdxLogEntry
{
    public const int HeaderByteSize = 64;
    public const int DescriptorByteSize = 32;

    private const int Sector = VhdxFormat.LogSectorByteSize;
    private const uint EntrySignature = 0x6567_6F6C;
    private const uint DataDescriptorSignature = 0x6373_6564;
    private const uint ZeroDescriptorSignature = 0x6F72_657A;
    private const uint DataSectorSignature = 0x6174_6164;

    private readonly byte[] _bytes;

    private VhdxLogEntry(byte[] bytes) => _bytes = bytes;

    public int ByteSize => _bytes.Length;

    /// <summary>Where in the log the sequence begins that this entry ends.</summary>
    public uint Tail => BinaryPrimitives.ReadUInt32LittleEndian(_bytes.AsSpan(12));

    public ulong SequenceNumber => BinaryPrimitives.ReadUInt64LittleEndian(_bytes.AsSpan(16));

    /// <summary>The file is at least this long, or it was cut off after the entry was written.</summary>
    public ulong FlushedFileOffset => BinaryPrimitives.ReadUInt64LittleEndian(_bytes.AsSpan(48));

    /// <summary>The file has to be at least this long after the replay.</summary>
    public ulong LastFileOffset => BinaryPrimitives.ReadUInt64LittleEndian(_bytes.AsSpan(56));

    private int DescriptorCount => BinaryPrimitives.ReadInt32LittleEndian(_bytes.AsSpan(24));

    /// <summary>The size of an entry with this many data descriptors.</summary>
    public static int SizeOf(int descriptorCount) => DescriptorArea(descriptorCount) + descriptorCount * Sector;

    /// <summary>How long the entry claims to be, by its first sector; 0 where that is none of the log with this id.</summary>
    public static int ClaimedByteSize(ReadOnlySpan<byte> firstSector, Guid logId, int logByteSize)
    {
        uint byteSize = BinaryPrimitives.ReadUInt32LittleEndian(firstSector[8..]);
        bool isEntry = BinaryPrimitives.ReadUInt32LittleEndian(firstSector) == EntrySignature &&
            byteSize >= Sector && byteSize % Sector == 0 && byteSize <= (uint)logByteSize &&
            BinaryPrimitives.ReadUInt64LittleEndian(firstSector[16..]) != 0 &&
            BinaryPrimitives.ReadUInt32LittleEndian(firstSector[12..]) % Sector == 0 &&
            new Guid(firstSector[32..48]) == logId;
        return isEntry ? (int)byteSize : 0;
    }

    /// <summary>The entry where all of it is valid, else null: torn, stale and foreign entries look alike.</summary>
    public static VhdxLogEntry? Parse(byte[] bytes)
    {
        var entry = new VhdxLogEntry(bytes);
        return VhdxChecksum.IsValid(bytes) && entry.HasValidDescriptors() ? entry : null;
    }

    /// <summary>Fills <paramref name="destination"/>, of <see cref="SizeOf"/> bytes, with an entry of data descriptors.</summary>
    public static void Build(
        Span<byte> destination, Guid logId, ulong sequenceNumber, uint tail, long fileByteLength,
        ReadOnlySpan<long> fileOffsets, ReadOnlySpan<byte> sectors)
    {
        destination.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(destination, EntrySignature);
        BinaryPrimitives.WriteInt32LittleEndian(destination[8..], destination.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[12..], tail);
        BinaryPrimitives.WriteUInt64LittleEndian(destination[16..], sequenceNumber);
        BinaryPrimitives.WriteInt32LittleEndian(destination[24..], fileOffsets.Length);
        logId.TryWriteBytes(destination[32..]);
        BinaryPrimitives.WriteInt64LittleEndian(destination[48..], fileByteLength);
        BinaryPrimitives.WriteInt64LittleEndian(destination[56..], fileByteLength);
        int dataOffset = DescriptorArea(fileOffsets.Length);
        for (int i = 0; i < fileOffsets.Length; i++)
        {
            ReadOnlySpan<byte> source = sectors.Slice(i * Sector, Sector);
            Span<byte> descriptor = destination[(HeaderByteSize + i * DescriptorByteSize)..];
            BinaryPrimitives.WriteUInt32LittleEndian(descriptor, DataDescriptorSignature);
            source[^4..].CopyTo(descriptor[4..]);
            source[..8].CopyTo(descriptor[8..]);
            BinaryPrimitives.WriteInt64LittleEndian(descriptor[16..], fileOffsets[i]);
            BinaryPrimitives.WriteUInt64LittleEndian(descriptor[24..], sequenceNumber);

            Span<byte> data = destination.Slice(dataOffset + i * Sector, Sector);
            source.CopyTo(data);
            BinaryPrimitives.WriteUInt32LittleEndian(data, DataSectorSignature);
            BinaryPrimitives.WriteUInt32LittleEndian(data[4..], (uint)(sequenceNumber >> 32));
            BinaryPrimitives.WriteUInt32LittleEndian(data[^4..], (uint)sequenceNumber);
        }

        VhdxChecksum.Store(destination);
    }

    /// <summary>Hands each change of the entry, in order, to <paramref name="target"/>.</summary>
    public void ApplyTo(IVhdxReplayTarget target)
    {
        int dataOffset = DescriptorArea(DescriptorCount);
        Span<byte> sector = stackalloc byte[Sector];
        for (int i = 0; i < DescriptorCount; i++)
        {
            ReadOnlySpan<byte> descriptor = Descriptor(i);
            long fileOffset = BinaryPrimitives.ReadInt64LittleEndian(descriptor[16..]);
            if (BinaryPrimitives.ReadUInt32LittleEndian(descriptor) == ZeroDescriptorSignature)
            {
                target.Zero(fileOffset, BinaryPrimitives.ReadInt64LittleEndian(descriptor[8..]));
                continue;
            }

            _bytes.AsSpan(dataOffset, Sector).CopyTo(sector);
            descriptor[8..16].CopyTo(sector);
            descriptor[4..8].CopyTo(sector[^4..]);
            target.WriteSector(fileOffset, sector);
            dataOffset += Sector;
        }
    }

    private static int DescriptorArea(int descriptorCount) =>
        (HeaderByteSize + descriptorCount * DescriptorByteSize + Sector - 1) / Sector * Sector;

    private ReadOnlySpan<byte> Descriptor(int index) =>
        _bytes.AsSpan(HeaderByteSize + index * DescriptorByteSize, DescriptorByteSize);

    private bool HasValidDescriptors()
    {
        int count = DescriptorCount;
        if (count < 0 || count > (_bytes.Length - HeaderByteSize) / DescriptorByteSize)
        {
            return false;
        }

        int dataOffset = DescriptorArea(count);
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> descriptor = Descriptor(i);
            uint signature = BinaryPrimitives.ReadUInt32LittleEndian(descriptor);
            if (BinaryPrimitives.ReadUInt64LittleEndian(descriptor[24..]) != SequenceNumber)
            {
                return false;
            }

            if (signature == DataDescriptorSignature)
            {
                if (!IsDataSector(dataOffset))
                {
                    return false;
                }

                dataOffset += Sector;
            }
            else if (signature != ZeroDescriptorSignature)
            {
                return false;
            }
        }

        return true;
    }

    private bool IsDataSector(int dataOffset)
    {
        if (dataOffset > _bytes.Length - Sector)
        {
            return false;
        }

        ReadOnlySpan<byte> data = _bytes.AsSpan(dataOffset, Sector);
        return BinaryPrimitives.ReadUInt32LittleEndian(data) == DataSectorSignature &&
            BinaryPrimitives.ReadUInt32LittleEndian(data[4..]) == (uint)(SequenceNumber >> 32) &&
            BinaryPrimitives.ReadUInt32LittleEndian(data[^4..]) == (uint)SequenceNumber;
    }
}
