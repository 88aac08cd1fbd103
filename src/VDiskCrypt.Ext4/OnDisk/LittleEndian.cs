using System.Buffers.Binary;

namespace VDiskCrypt.Ext4.OnDisk;

/// <summary>Little-endian fields of on-disk structures, by byte offset; every access is bounds-checked by the span.</summary>
internal static class LittleEndian
{
    public static ushort U16(this ReadOnlySpan<byte> bytes, int byteOffset) =>
        BinaryPrimitives.ReadUInt16LittleEndian(bytes[byteOffset..]);

    public static uint U32(this ReadOnlySpan<byte> bytes, int byteOffset) =>
        BinaryPrimitives.ReadUInt32LittleEndian(bytes[byteOffset..]);

    public static ulong U64(this ReadOnlySpan<byte> bytes, int byteOffset) =>
        BinaryPrimitives.ReadUInt64LittleEndian(bytes[byteOffset..]);

    public static ushort U16(this Span<byte> bytes, int byteOffset) =>
        BinaryPrimitives.ReadUInt16LittleEndian(bytes[byteOffset..]);

    public static uint U32(this Span<byte> bytes, int byteOffset) =>
        BinaryPrimitives.ReadUInt32LittleEndian(bytes[byteOffset..]);

    public static ulong U64(this Span<byte> bytes, int byteOffset) =>
        BinaryPrimitives.ReadUInt64LittleEndian(bytes[byteOffset..]);

    public static void SetU16(this Span<byte> bytes, int byteOffset, ushort value) =>
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[byteOffset..], value);

    public static void SetU32(this Span<byte> bytes, int byteOffset, uint value) =>
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[byteOffset..], value);

    public static void SetU64(this Span<byte> bytes, int byteOffset, ulong value) =>
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[byteOffset..], value);
}
