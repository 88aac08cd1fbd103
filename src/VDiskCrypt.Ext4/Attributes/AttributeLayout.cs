using System.Runtime.InteropServices;
using VDiskCrypt.Ext4.OnDisk;

namespace VDiskCrypt.Ext4.Attributes;

/// <summary>Writes a list of attributes into its place, packed: entries from the front, values from the end.</summary>
internal static class AttributeLayout
{
    /// <summary>Whether the attributes fit into a space of so many bytes behind its header.</summary>
    public static bool Fits(List<AttributeRecord> records, int capacity)
    {
        int needed = AttributeFormat.EndByteLength;
        foreach (AttributeRecord record in records)
        {
            needed += record.ByteLength;
        }

        return records.Count == 0 || needed <= capacity;
    }

    /// <summary>The space behind an inode's fields. As the kernel leaves it: no hashes, and no magic number without entries.</summary>
    public static void WriteBody(Span<byte> space, List<AttributeRecord> records)
    {
        space.Clear();
        if (records.Count > 0)
        {
            space.SetU32(0, AttributeFormat.Magic);
            WriteEntries(space[AttributeFormat.BodyHeaderByteLength..], 0, records, hasHashes: false);
        }
    }

    /// <summary>A block with one user, sorted; the checksum is the caller's.</summary>
    public static void WriteBlock(Span<byte> block, List<AttributeRecord> records)
    {
        block.Clear();
        records.Sort(AttributeRecord.Compare);
        block.SetU32(0, AttributeFormat.Magic);
        block.SetU32(AttributeFormat.ReferenceCountOffset, 1);
        block.SetU32(AttributeFormat.BlockCountOffset, 1);
        block.SetU32(
            AttributeFormat.HashOffset, WriteEntries(block, AttributeFormat.BlockHeaderByteLength, records, hasHashes: true));
    }

    private static uint WriteEntries(Span<byte> area, int first, List<AttributeRecord> records, bool hasHashes)
    {
        int position = first;
        int valueEnd = area.Length;
        uint blockHash = 0;
        bool isShareable = true;
        foreach (AttributeRecord record in CollectionsMarshal.AsSpan(records))
        {
            int padded = AttributeFormat.Pad(record.Value.Length);
            int valueStart = valueEnd - padded;
            Span<byte> entry = area[position..];
            entry[AttributeFormat.NameLengthOffset] = (byte)record.Name.Length;
            entry[AttributeFormat.NameIndexOffset] = record.Index;
            entry.SetU16(AttributeFormat.ValueOffsetOffset, padded == 0 ? (ushort)0 : (ushort)valueStart);
            entry.SetU32(AttributeFormat.ValueSizeOffset, (uint)record.Value.Length);
            record.Name.CopyTo(entry[AttributeFormat.NameOffset..]);
            record.Value.CopyTo(area[valueStart..]);
            if (hasHashes)
            {
                uint hash = AttributeHash.Entry(record.Name, area.Slice(valueStart, padded));
                entry.SetU32(AttributeFormat.EntryHashOffset, hash);
                isShareable &= hash != 0;
                blockHash = AttributeHash.Add(blockHash, hash);
            }

            position += AttributeFormat.EntryByteLength(record.Name.Length);
            valueEnd = valueStart;
        }

        return isShareable ? blockHash : 0;
    }
}
