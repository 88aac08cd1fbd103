using VDiskCrypt.Ext4.OnDisk;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4.Allocation;

/// <summary>A block group in memory: its descriptor's values and what the allocators remember. Its monitor guards all of it.</summary>
internal sealed class BlockGroup
{
    public required uint Index { get; init; }

    public required ulong FirstBlock { get; init; }

    public required uint BlockCount { get; init; }

    public required ulong BlockBitmap { get; init; }

    public required ulong InodeBitmap { get; init; }

    public required ulong InodeTable { get; init; }

    public uint FreeBlocks { get; set; }

    public uint FreeInodes { get; set; }

    public uint Directories { get; set; }

    /// <summary>Inodes at the end of the table that were never used.</summary>
    public uint UnusedInodes { get; set; }

    public GroupFlags Flags { get; set; }

    public uint BlockBitmapChecksum { get; set; }

    public uint InodeBitmapChecksum { get; set; }

    /// <summary>
    /// Blocks that are free on disk but not to be given out: freed by a transaction that is not durable yet, or reserved
    /// for a file that grows. One bit per block; null when there are none.
    /// </summary>
    public ulong[]? Held { get; set; }

    public uint HeldCount { get; set; }

    /// <summary>No free run is longer than this.</summary>
    public uint LongestRunBound { get; set; }

    /// <summary>Where the last inode search ended.</summary>
    public uint InodeSearchStart { get; set; }

    /// <summary>The transaction that will write the descriptor.</summary>
    public Transaction? DirtyIn { get; set; }

    public bool BlockBitmapIsDirty { get; set; }

    public bool InodeBitmapIsDirty { get; set; }
}
