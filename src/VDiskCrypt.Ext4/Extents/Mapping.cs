namespace VDiskCrypt.Ext4.Extents;

/// <summary>A run of a file's logical blocks with the same fate: a hole, unwritten blocks (read as zeros) or data.</summary>
internal readonly record struct Mapping(uint First, uint Count, ulong Physical, bool IsUnwritten)
{
    public bool IsHole => Physical == 0;

    /// <summary>Whether the device holds the bytes.</summary>
    public bool IsData => Physical != 0 && !IsUnwritten;

    /// <summary>The block behind the run.</summary>
    public ulong End => (ulong)First + Count;

    public bool Contains(uint block) => block - First < Count;
}
