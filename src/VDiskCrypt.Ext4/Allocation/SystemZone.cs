using VDiskCrypt.Core;

namespace VDiskCrypt.Ext4.Allocation;

/// <summary>The places of the filesystem's own structures: no file may claim them, and they do not overlap.</summary>
internal sealed class SystemZone
{
    private readonly ulong[] _starts;
    private readonly ulong[] _ends;

    public SystemZone(Geometry geometry, GroupTable groups)
    {
        int capacity = groups.Count * 4;
        var starts = new ulong[capacity];
        var ends = new ulong[capacity];
        int count = 0;
        for (uint i = 0; i < groups.Count; i++)
        {
            BlockGroup group = groups[i];
            uint baseCount = geometry.BaseMetadataBlockCount(i);
            if (baseCount > 0)
            {
                (starts[count], ends[count++]) = (group.FirstBlock, group.FirstBlock + baseCount);
            }

            (starts[count], ends[count++]) = (group.BlockBitmap, group.BlockBitmap + 1);
            (starts[count], ends[count++]) = (group.InodeBitmap, group.InodeBitmap + 1);
            (starts[count], ends[count++]) = (group.InodeTable, group.InodeTable + geometry.InodeTableBlockCount);
        }

        Array.Sort(starts, ends, 0, count);
        int kept = 0;
        for (int i = 0; i < count; i++)
        {
            if (kept > 0 && starts[i] < ends[kept - 1])
            {
                throw VDiskException.Damaged(
                    "ext4 block groups", (long)starts[i] << geometry.BlockBits,
                    $"block {starts[i]} belongs to two structures of the filesystem", "check the filesystem with e2fsck");
            }

            if (kept > 0 && starts[i] == ends[kept - 1])
            {
                ends[kept - 1] = ends[i];
            }
            else
            {
                (starts[kept], ends[kept]) = (starts[i], ends[i]);
                kept++;
            }
        }

        _starts = starts[..kept];
        _ends = ends[..kept];
        BlockCount = 0;
        for (int i = 0; i < kept; i++)
        {
            BlockCount += _ends[i] - _starts[i];
        }
    }

    /// <summary>Blocks that can never belong to a file.</summary>
    public ulong BlockCount { get; }

    public bool Overlaps(ulong start, ulong count)
    {
        int index = Array.BinarySearch(_starts, start);
        if (index >= 0)
        {
            return true;
        }

        index = ~index;
        return index > 0 && _ends[index - 1] > start || index < _starts.Length && _starts[index] < start + count;
    }
}
