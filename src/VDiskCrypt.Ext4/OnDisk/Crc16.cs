namespace VDiskCrypt.Ext4.OnDisk;

/// <summary>CRC-16/ARC as a bare register (polynomial 0x8005 reflected: 0xA001), the checksum of gdt_csum.</summary>
internal static class Crc16
{
    private static readonly ushort[] Table = CreateTable();

    public static ushort Update(ushort register, ReadOnlySpan<byte> data)
    {
        foreach (byte value in data)
        {
            register = (ushort)(register >> 8 ^ Table[(register ^ value) & 0xFF]);
        }

        return register;
    }

    private static ushort[] CreateTable()
    {
        var table = new ushort[256];
        for (int i = 0; i < table.Length; i++)
        {
            int value = i;
            for (int bit = 0; bit < 8; bit++)
            {
                value = (value & 1) != 0 ? value >> 1 ^ 0xA001 : value >> 1;
            }

            table[i] = (ushort)value;
        }

        return table;
    }
}
