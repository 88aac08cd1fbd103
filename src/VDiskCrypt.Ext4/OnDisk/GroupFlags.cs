namespace VDiskCrypt.Ext4.OnDisk;

/// <summary>bg_flags of a group descriptor.</summary>
[Flags]
internal enum GroupFlags : ushort
{
    /// <summary>The inode bitmap and inode table were never written: every inode is free.</summary>
    InodeUninitialized = 1,

    /// <summary>The block bitmap was never written: it is calculated from the group's own metadata.</summary>
    BlockUninitialized = 2,

    /// <summary>The inode table was zeroed.</summary>
    InodeTableZeroed = 4,
}
