using System.Buffers.Binary;

namespace VDiskCrypt.Images.Vhdx;

/// <summary>One of the two headers ([MS-VHDX] 2.2.2): where the log is, and what identifies the state of the file.</summary>
internal sealed record VhdxHeader
{
    public ulong SequenceNumber { get; init; }

    /// <summary>New whenever the file is opened and then changed.</summary>
    public Guid FileWriteId { get; init; }

    /// <summary>New whenever the contents of the virtual disk change after an open.</summary>
    public Guid DataWriteId { get; init; }

    /// <summary>What the log's entries carry; zero says that there is nothing to replay.</summary>
    public Guid LogId { get; init; }

    public ushort LogVersion { get; init; }

    public ushort Version { get; init; } = 1;

    public uint LogByteSize { get; init; }

    public long LogOffset { get; init; }

    /// <summary>Null where signature or checksum are wrong.</summary>
    public static VhdxHeader? Parse(ReadOnlySpan<byte> source)
    {
        if (BinaryPrimitives.ReadUInt32LittleEndian(source) != VhdxFormat.HeaderSignature || !VhdxChecksum.IsValid(source))
        {
            return null;
        }

        return new VhdxHeader
        {
            SequenceNumber = BinaryPrimitives.ReadUInt64LittleEndian(source[8..]),
            FileWriteId = new Guid(source[16..32]),
            DataWriteId = new Guid(source[32..48]),
            LogId = new Guid(source[48..64]),
            LogVersion = BinaryPrimitives.ReadUInt16LittleEndian(source[64..]),
            Version = BinaryPrimitives.ReadUInt16LittleEndian(source[66..]),
            LogByteSize = BinaryPrimitives.ReadUInt32LittleEndian(source[68..]),
            LogOffset = BinaryPrimitives.ReadInt64LittleEndian(source[72..]),
        };
    }

    public void WriteTo(Span<byte> destination)
    {
        destination.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(destination, VhdxFormat.HeaderSignature);
        BinaryPrimitives.WriteUInt64LittleEndian(destination[8..], SequenceNumber);
        FileWriteId.TryWriteBytes(destination[16..]);
        DataWriteId.TryWriteBytes(destination[32..]);
        LogId.TryWriteBytes(destination[48..]);
        BinaryPrimitives.WriteUInt16LittleEndian(destination[64..], LogVersion);
        BinaryPrimitives.WriteUInt16LittleEndian(destination[66..], Version);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[68..], LogByteSize);
        BinaryPrimitives.WriteInt64LittleEndian(destination[72..], LogOffset);
        VhdxChecksum.Store(destination);
    }
}
