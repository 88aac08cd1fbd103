namespace VDiskCrypt.Images;

/// <summary>CRC-32 of ISO 3309 (polynomial 0x04C11DB7 reflected), as the GPT uses it ([UEFI] 5.3.2).</summary>
internal static class Crc32
{
    private static readonly uint[] Table = CreateTable();

    public static uint Compute(ReadOnlySpan<byte> data)
    {
        uint register = uint.MaxValue;
        foreach (byte value in data)
        {
            register = Table[(byte)(register ^ value)] ^ (register >> 8);
        }

        return ~register;
    }

    private static uint[] CreateTable()
    {
        uint[] table = new uint[256];
        for (uint i = 0; i < table.Length; i++)
        {
            uint value = i;
            for (int bit = 0; bit < 8; bit++)
            {
                value = (value & 1) != 0 ? (value >> 1) ^ 0xEDB8_8320 : value >> 1;
            }

            table[i] = value;
        }

        return table;
    }
}
