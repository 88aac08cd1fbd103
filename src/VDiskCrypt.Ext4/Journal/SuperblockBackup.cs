using VDiskCrypt.Core;
using VDiskCrypt.Ext4.OnDisk;

namespace VDiskCrypt.Ext4.Journal;

/// <summary>A backup superblock as a witness for the first one. Backups hold what never changes, and old counters.</summary>
internal static class SuperblockBackup
{
    /// <summary>Byte ranges of fields that change in use, or differ in a backup: start and length.</summary>
    private static readonly (int Start, int Length)[] Changing =
    [
        (0xC, 8), // free blocks and inodes
        (0x2C, 12), // times and counts of mounts
        (0x3A, 2), // state
        (0x5A, 2), // the group of this copy
        (0x60, 8), // needs_recovery, orphan_present
        (0x88, 64), // last mounted on
        (0xE8, 4), // orphans
        (0x158, 4), // free blocks, high
        (0x178, 8), // kilobytes written
        (0x194, 0x200 - 0x194), // errors
        (SuperblockOnDisk.ChecksumOffset, 4),
    ];

    /// <summary>Whether the first backup is whole and agrees with the superblock in everything that does not change.</summary>
    public static bool Agrees(IBlockDevice device, Geometry geometry, ReadOnlySpan<byte> superblock)
    {
        uint group = geometry.Has(CompatibleFeatures.SparseSuper2) ? geometry.BackupGroup0 : 1;
        if (group == 0 || group >= geometry.GroupCount)
        {
            return false;
        }

        var backup = new byte[SuperblockOnDisk.ByteLength];
        device.Read((long)geometry.FirstBlockOf(group) << geometry.BlockBits, backup);
        var view = new SuperblockOnDisk(backup);
        if (view.Magic != SuperblockOnDisk.MagicValue || view.Checksum != MetadataChecksum.Superblock(backup))
        {
            return false;
        }

        foreach ((int start, int length) in Changing)
        {
            superblock.Slice(start, length).CopyTo(backup.AsSpan(start));
        }

        return superblock.SequenceEqual(backup);
    }
}
