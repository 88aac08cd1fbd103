using VDiskCrypt.Ext4.OnDisk;

namespace VDiskCrypt.Ext4.Files;

/// <summary>
/// The number of a device file in i_block: 16 bits in the first word where both halves fit 8 bits, else 32 bits in the
/// second (Linux include/linux/kdev_t.h).
/// </summary>
internal static class DeviceNumber
{
    public static (uint Major, uint Minor) Read(ReadOnlySpan<byte> block)
    {
        uint old = block.U32(0);
        if (old != 0)
        {
            return (old >> 8 & 0xFF, old & 0xFF);
        }

        uint value = block.U32(4);
        return (value >> 8 & 0xFFF, value & 0xFF | value >> 12 & 0xFFF00);
    }

    public static void Write(Span<byte> block, uint major, uint minor)
    {
        block.Clear();
        if (major < 256 && minor < 256)
        {
            block.SetU32(0, major << 8 | minor);
        }
        else
        {
            block.SetU32(4, minor & 0xFF | major << 8 | (minor & ~0xFFu) << 12);
        }
    }
}
