namespace VDiskCrypt.Ext4.Formatting;

/// <summary>Consecutive blocks of the filesystem.</summary>
internal readonly record struct BlockRange(ulong Start, ulong Count)
{
    /// <summary>The first block behind.</summary>
    public ulong End => Start + Count;
}
