using System.Buffers.Binary;
using VDiskCrypt.Core;

namespace VDiskCrypt.Images.Vhdx;

/// <summary>
/// The checksum that headers, region tables and log entries share: CRC-32C over the whole structure with the four
/// checksum bytes, at offset 4, taken as zero ([MS-VHDX] 2.2.2, 2.2.3.1, 2.3.1.1).
/// </summary>
internal static class VhdxChecksum
{
    private const int FieldOffset = 4;

    public static bool IsValid(ReadOnlySpan<byte> structure) =>
        BinaryPrimitives.ReadUInt32LittleEndian(structure[FieldOffset..]) == Compute(structure);

    public static void Store(Span<byte> structure) =>
        BinaryPrimitives.WriteUInt32LittleEndian(structure[FieldOffset..], Compute(structure));

    private static uint Compute(ReadOnlySpan<byte> structure)
    {
        uint register = Crc32C.Update(uint.MaxValue, structure[..FieldOffset]);
        register = Crc32C.Update(register, [0, 0, 0, 0]);
        return ~Crc32C.Update(register, structure[(FieldOffset + 4)..]);
    }
}
