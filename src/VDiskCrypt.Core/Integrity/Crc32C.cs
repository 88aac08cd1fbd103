using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;

namespace VDiskCrypt.Core;

/// <summary>
/// CRC-32C (Castagnoli, polynomial 0x1EDC6F41 reflected; RFC 3720 appendix B.4). <see cref="Update"/> is the bare
/// register without the first and last inversion, as ext4 and jbd2 seed it; <see cref="Compute"/> is the usual form.
/// </summary>
public static class Crc32C
{
    public static uint Compute(ReadOnlySpan<byte> data) => ~Update(uint.MaxValue, data);

    public static uint Update(uint register, ReadOnlySpan<byte> data)
    {
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(data);
        foreach (ulong word in words)
        {
            register = BitOperations.Crc32C(register, BitConverter.IsLittleEndian ? word : BinaryPrimitives.ReverseEndianness(word));
        }

        foreach (byte value in data[(words.Length * sizeof(ulong))..])
        {
            register = BitOperations.Crc32C(register, value);
        }

        return register;
    }
}
