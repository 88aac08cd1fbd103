namespace VDiskCrypt.Ext4;

/// <summary>How file data and the metadata that points to it reach the device.</summary>
public enum DataMode
{
    /// <summary>Data is on the device before the metadata that makes it visible is committed.</summary>
    Ordered,

    /// <summary>
    /// No order: after a crash a file may hold what its blocks held before, bytes of deleted files among them. What was
    /// synced is safe either way.
    /// </summary>
    Writeback,
}
