namespace VDiskCrypt.Luks;

/// <summary>How one of the two copies of a header was found.</summary>
public enum HeaderCopyState
{
    /// <summary>Whole and current.</summary>
    Valid,

    /// <summary>Whole, but older than the other copy: an update was cut short.</summary>
    Stale,

    /// <summary>Not readable as a header.</summary>
    Damaged,
}
