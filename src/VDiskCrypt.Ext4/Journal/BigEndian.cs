using System.Buffers.Binary;

namespace VDiskCrypt.Ext4.Journal;

/// <summary>Fields of the journal's structures, which are big-endian, unlike the rest of the filesystem.</summary>
internal static class BigEndian
{
    public static ushort Be16(this ReadOnlySpan<byte> bytes, int byteOffset) =>
        BinaryPrimitives.ReadUInt16BigEndian(bytes[byteOffset..]);

    public static uint Be32(this ReadOnlySpan<byte> bytes, int byteOffset) =>
        BinaryPrimitives.ReadUInt32BigEndian(bytes[byteOffset..]);

    public static uint Be32(this Span<byte> bytes, int byteOffset) => BinaryPrimitives.ReadUInt32BigEndian(bytes[byteOffset..]);

    public static void SetBe16(this Span<byte> bytes, int byteOffset, ushort value) =>
        BinaryPrimitives.WriteUInt16BigEndian(bytes[byteOffset..], value);

    public static void SetBe32(this Span<byte> bytes, int byteOffset, uint value) =>
        BinaryPrimitives.WriteUInt32BigEndian(bytes[byteOffset..], value);

    public static void SetBe64(this Span<byte> bytes, int byteOffset, ulong value) =>
        BinaryPrimitives.WriteUInt64BigEndian(bytes[byteOffset..], value);
}
