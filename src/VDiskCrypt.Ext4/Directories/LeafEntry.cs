using VDiskCrypt.Core;
using VDiskCrypt.Ext4.OnDisk;

namespace VDiskCrypt.Ext4.Directories;

/// <summary>An entry of a leaf with its place in the order of hashes.</summary>
/// <param name="Major">The major hash.</param>
/// <param name="Minor">The minor hash.</param>
/// <param name="LogicalBlock">The leaf.</param>
/// <param name="Offset">Its offset in the leaf.</param>
/// <param name="ByteLength">The bytes that it needs.</param>
internal readonly record struct LeafEntry(uint Major, uint Minor, uint LogicalBlock, int Offset, int ByteLength)
    : IComparable<LeafEntry>
{
    /// <summary>Collects the entries in use, "." and ".." excepted.</summary>
    /// <returns>How many; <paramref name="entries"/> has room for one per 12 bytes of block.</returns>
    public static int Collect(
        DirectoryFormat format, ReadOnlySpan<byte> block, DirectoryHashKind kind, uint logicalBlock, Span<LeafEntry> entries)
    {
        int count = 0;
        int end = format.EntriesByteLength;
        for (int offset = 0; offset < end; offset += DirectoryLeaf.LengthAt(format, block, offset))
        {
            ReadOnlySpan<byte> name = DirectoryLeaf.NameAt(block, offset);
            if (block.U32(offset) == 0 || DirectoryLeaf.IsDotOrDotDot(name))
            {
                continue;
            }

            DirectoryHash hash = format.Hash(kind, name);

            // The legacy hash has no minor part; without one, names of one hash could not be told apart by a cookie.
            bool isLegacy = kind is DirectoryHashKind.Legacy or DirectoryHashKind.LegacyUnsigned;
            uint minor = isLegacy ? Crc32C.Compute(name) : hash.Minor;
            entries[count++] = new LeafEntry(
                hash.Major, minor, logicalBlock, offset, DirectoryEntryOnDisk.ByteLengthFor(name.Length));
        }

        return count;
    }

    /// <summary>The order of listings; entries of one place in memory never compare as equal.</summary>
    public int CompareTo(LeafEntry other)
    {
        int order = Major.CompareTo(other.Major);
        order = order != 0 ? order : Minor.CompareTo(other.Minor);
        order = order != 0 ? order : LogicalBlock.CompareTo(other.LogicalBlock);
        return order != 0 ? order : Offset.CompareTo(other.Offset);
    }
}
