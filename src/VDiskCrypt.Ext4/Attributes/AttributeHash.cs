using VDiskCrypt.Ext4.OnDisk;

namespace VDiskCrypt.Ext4.Attributes;

/// <summary>
/// e_hash and h_hash, by which the kernel finds blocks that are alike. Source: Linux
/// Documentation/filesystems/ext4/attributes.rst, and the values that mke2fs, debugfs and the kernel write.
/// </summary>
/// <remarks>
/// NOTE: kernels before 6.2 took the characters of a name as signed where the machine's C compiler did; names beyond ASCII
/// then hash differently. Both are accepted by e2fsck, nothing is refused for its hash here, and the unsigned form, which
/// newer kernels write everywhere, is what is written.
/// </remarks>
internal static class AttributeHash
{
    private const int NameShift = 5;
    private const int ValueShift = 16;

    /// <param name="name">Without the prefix.</param>
    /// <param name="paddedValue">With the zero bytes that fill it up to a multiple of 4.</param>
    public static uint Entry(ReadOnlySpan<byte> name, ReadOnlySpan<byte> paddedValue)
    {
        uint hash = 0;
        foreach (byte character in name)
        {
            hash = uint.RotateLeft(hash, NameShift) ^ character;
        }

        for (int offset = 0; offset < paddedValue.Length; offset += sizeof(uint))
        {
            hash = uint.RotateLeft(hash, ValueShift) ^ paddedValue.U32(offset);
        }

        return hash;
    }

    /// <summary>The block's hash with one entry more. An entry without a hash makes the whole 0: not to be shared.</summary>
    public static uint Add(uint blockHash, uint entryHash) => uint.RotateLeft(blockHash, ValueShift) ^ entryHash;
}
