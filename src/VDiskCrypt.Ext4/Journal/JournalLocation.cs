using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Allocation;
using VDiskCrypt.Ext4.Cache;
using VDiskCrypt.Ext4.Extents;
using VDiskCrypt.Ext4.Formatting;
using VDiskCrypt.Ext4.Inodes;
using VDiskCrypt.Ext4.OnDisk;

namespace VDiskCrypt.Ext4.Journal;

/// <summary>
/// Finds the blocks of the journal's inode in a filesystem whose journal may not be replayed yet. The inode, its map and
/// the static parts of the group descriptors never change, so what a crash left of the rest does not matter; what was read
/// here is not kept.
/// </summary>
internal static class JournalLocation
{
    private const int CacheByteLimit = 4 << 20;
    private const int InodeLimit = 64;

    /// <summary>A journal in more pieces than this is none.</summary>
    private const int RangeLimit = 1 << 16;

    /// <summary>2^32 blocks would overflow the numbers in the log; the kernel stops far below.</summary>
    private const long BlockLimit = 1L << 30;

    public static BlockRange[] Find(IBlockDevice device, Geometry geometry)
    {
        using var cache = new BlockCache(device, geometry.BlockByteSize, geometry.BlockCount, CacheByteLimit);
        using MetadataBlock superblock = cache.Get(SuperblockOnDisk.ByteOffset / (ulong)geometry.BlockByteSize);
        var view = new SuperblockOnDisk(
            superblock.Bytes.Slice(SuperblockOnDisk.ByteOffset % geometry.BlockByteSize, SuperblockOnDisk.ByteLength));
        if (geometry.JournalInode == 0)
        {
            throw VDiskException.Unsupported(
                "ext4 journal", "the journal lies on a device of its own",
                "give the filesystem an internal journal: tune2fs -O ^has_journal, then tune2fs -j");
        }

        var checksum = new MetadataChecksum(view);
        var groups = new GroupTable(geometry, checksum, cache);
        var blocks = new BlockAllocator(geometry, groups, cache, new SystemZone(geometry, groups), null);
        var inodes = new InodeStore(geometry, checksum, cache, groups, blocks, InodeLimit)
        {
            IsOrphan = _ => false,
            RunningTransaction = () => 0,
        };
        Inode? inode = geometry.JournalInode <= geometry.InodeCount ? inodes.TryGetAny(geometry.JournalInode) : null;
        if (inode is null || !inode.IsRegular)
        {
            throw Bad(geometry, "the journal's inode is not a file");
        }

        var extents = new ExtentTree(geometry, cache, blocks, checksum.IsEnabled);
        var indirect = new IndirectMap(geometry, cache, blocks);
        return Map(geometry, inode, block => inode.HasExtents ? extents.Find(inode, block) : indirect.Find(inode, block));
    }

    private static BlockRange[] Map(Geometry geometry, Inode inode, Func<uint, Mapping> find)
    {
        var ranges = new List<BlockRange>();
        long count = inode.Size >> geometry.BlockBits;
        if (count > BlockLimit)
        {
            throw Bad(geometry, "the journal is too large");
        }

        for (ulong block = 0; block < (ulong)count;)
        {
            Mapping mapping = find((uint)block);
            ulong start = mapping.Physical + (block - mapping.First);
            ulong run = Math.Min(mapping.End, (ulong)count) - block;
            if (!mapping.IsData || ranges.Count == RangeLimit)
            {
                throw Bad(geometry, $"the journal's block {block} is not mapped");
            }

            if (ranges.Count > 0 && ranges[^1].End == start)
            {
                ranges[^1] = new BlockRange(ranges[^1].Start, ranges[^1].Count + run);
            }
            else
            {
                ranges.Add(new BlockRange(start, run));
            }

            block += run;
        }

        return [.. ranges];
    }

    private static VDiskException Bad(Geometry geometry, string what) => VDiskException.Damaged(
        $"ext4 journal (inode {geometry.JournalInode})", 0, what, "check the filesystem with e2fsck");
}
