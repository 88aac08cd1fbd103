namespace VDiskCrypt.Ext4.Extents;

/// <summary>How far the removal of a range came.</summary>
internal enum RemoveOutcome
{
    Done,

    /// <summary>The transaction is full: restart the handle and call again.</summary>
    Restart,

    /// <summary>An extent would have to be split and there is no block for the tree.</summary>
    NoSpace,
}
