namespace VDiskCrypt.Ext4.Journal;

/// <summary>
/// The CRC-32 of the older journal checksum: polynomial 0x04C11DB7, most significant bit first, bare register (Linux
/// crc32_be). Only ever read, so a byte at a time is fast enough.
/// </summary>
internal static class Crc32BigEndian
{
    private const uint Polynomial = 0x04C11DB7;

    private static readonly uint[] Table = MakeTable();

    public static uint Update(uint register, ReadOnlySpan<byte> data)
    {
        foreach (byte value in data)
        {
            register = register << 8 ^ Table[register >> 24 ^ value];
        }

        return register;
    }

    private static uint[] MakeTable()
    {
        var table = new uint[256];
        for (uint i = 0; i < table.Length; i++)
        {
            uint value = i << 24;
            for (int bit = 0; bit < 8; bit++)
            {
                value = (value & 0x80000000) != 0 ? value << 1 ^ Polynomial : value << 1;
            }

            table[i] = value;
        }

        return table;
    }
}
