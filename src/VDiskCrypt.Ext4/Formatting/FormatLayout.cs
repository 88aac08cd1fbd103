using VDiskCrypt.Core;
using VDiskCrypt.Ext4.OnDisk;

namespace VDiskCrypt.Ext4.Formatting;

/// <summary>
/// Where everything of a new filesystem goes, by mke2fs' rules (e2fsprogs lib/ext2fs/initialize.c, misc/mke2fs.c): sizes
/// and counts equal its own; tables lie packed at the start of each flex group, in the order block bitmaps, inode
/// bitmaps, inode tables.
/// </summary>
internal sealed class FormatLayout
{
    public const int InodeByteSize = 256;
    public const int DescriptorByteSize = GroupDescriptorOnDisk.LargeByteLength;
    public const int LogGroupsPerFlex = 4;
    public const uint RootInode = 2;
    public const uint ResizeInode = 7;
    public const uint JournalInode = 8;
    public const uint LostAndFoundInode = 11;
    public const uint OrphanFileInode = 12;

    /// <summary>A last group with less than its own tables and this many blocks is left out, as mke2fs does.</summary>
    private const int LeastUsefulBlocks = 50;

    private const int OrphanFileBlockCount = 32;
    private const long Mebibyte = 1 << 20;
    private const long Tebibyte = 1L << 40;

    private readonly List<BlockRange> _used = [];

    public FormatLayout(long byteLength, Ext4FormatOptions options)
    {
        Options = options;
        BlockByteSize = options.BlockByteSize;
        FirstDataBlock = BlockByteSize == 1024 ? 1u : 0;
        BlocksPerGroup = (uint)BlockByteSize * 8;
        BlockCount = (ulong)(byteLength / BlockByteSize);
        CountGroups(byteLength);
        PlaceTables();
        JournalBlockCount = options.Journal ? DefaultJournalBlockCount(BlockCount) : 0;
        RootDirectory = Allocate(1, 0)[0];
        LostAndFound = Allocate(LostAndFoundBlockCount, 0);
        ResizeDoubleIndirect = ReservedGdtBlockCount > 0 ? Allocate(1, 0)[0].Start : 0;
        OrphanFile = options.OrphanFile ? Allocate(OrphanFileBlockCount, 0) : [];
        if (JournalBlockCount > 0)
        {
            Journal = Allocate(JournalBlockCount, BlockCount / 2);
            JournalLeaf = Journal.Count > ExtentNodeOnDisk.RootCapacity ? Allocate(1, Journal[0].Start)[0].Start : 0;
        }
    }

    public Ext4FormatOptions Options { get; }

    public int BlockByteSize { get; }

    public uint FirstDataBlock { get; }

    public uint BlocksPerGroup { get; }

    public ulong BlockCount { get; private set; }

    public uint GroupCount { get; private set; }

    public uint GdtBlockCount { get; private set; }

    /// <summary>Room behind each copy of the group descriptors for growing (resize_inode).</summary>
    public uint ReservedGdtBlockCount { get; private set; }

    public uint InodesPerGroup { get; private set; }

    public uint InodeTableBlockCount { get; private set; }

    public ulong[] BlockBitmaps { get; private set; } = [];

    public ulong[] InodeBitmaps { get; private set; } = [];

    public ulong[] InodeTables { get; private set; } = [];

    public BlockRange RootDirectory { get; }

    public List<BlockRange> LostAndFound { get; }

    /// <summary>The double-indirect block of the resize inode; 0 when there is none.</summary>
    public ulong ResizeDoubleIndirect { get; }

    public List<BlockRange> OrphanFile { get; }

    public uint JournalBlockCount { get; }

    public List<BlockRange> Journal { get; } = [];

    /// <summary>The extent block of a journal in more than four pieces; 0 when there is none.</summary>
    public ulong JournalLeaf { get; }

    /// <summary>Every block in use, sorted, without overlaps.</summary>
    public IReadOnlyList<BlockRange> Used => _used;

    /// <summary>mke2fs makes lost+found 16 KiB large, but never more than 12 blocks.</summary>
    public uint LostAndFoundBlockCount => (uint)Math.Min((16 * 1024) / BlockByteSize, 12);

    /// <summary>The inodes in use: the reserved ones, lost+found, the orphan file.</summary>
    public uint UsedInodeCount => Options.OrphanFile ? OrphanFileInode : LostAndFoundInode;

    /// <summary>What files can never have: headers, bitmaps, inode tables, the journal, the block before the first.</summary>
    public uint OverheadBlockCount
    {
        get
        {
            ulong count = FirstDataBlock + JournalBlockCount;
            for (uint group = 0; group < GroupCount; group++)
            {
                count += HeaderBlockCount(group) + 2 + InodeTableBlockCount;
            }

            return (uint)count;
        }
    }

    /// <summary>sparse_super: groups 0 and 1, and the powers of 3, 5 and 7.</summary>
    public static bool HasSuperblock(uint group)
    {
        if (group <= 1)
        {
            return true;
        }

        foreach (uint factor in (ReadOnlySpan<uint>)[3, 5, 7])
        {
            ulong power = factor;
            while (power < group)
            {
                power *= factor;
            }

            if (power == group)
            {
                return true;
            }
        }

        return false;
    }

    public ulong GroupStart(uint group) => FirstDataBlock + ((ulong)group * BlocksPerGroup);

    public uint BlocksInGroup(uint group) => (uint)Math.Min(BlocksPerGroup, BlockCount - GroupStart(group));

    /// <summary>Superblock, group descriptors and the room reserved behind them.</summary>
    public uint HeaderBlockCount(uint group) => HasSuperblock(group) ? 1 + GdtBlockCount + ReservedGdtBlockCount : 0;

    /// <summary>The used ranges that touch a group.</summary>
    public IEnumerable<BlockRange> UsedIn(uint group)
    {
        ulong start = GroupStart(group);
        ulong end = start + BlocksInGroup(group);
        for (int i = FirstUsedEndingAfter(start); i < _used.Count && _used[i].Start < end; i++)
        {
            ulong from = Math.Max(start, _used[i].Start);
            yield return new BlockRange(from, Math.Min(end, _used[i].End) - from);
        }
    }

    private static uint DivideUp(ulong value, ulong by) => (uint)((value + by - 1) / by);

    /// <summary>Bytes per inode by the usage types of mke2fs.conf: floppy, small, default, big, huge.</summary>
    private static long InodeRatio(long byteLength) => byteLength switch
    {
        < 3 * Mebibyte => 8192,
        < 512 * Mebibyte => 4096,
        < 4 * Tebibyte => 16384,
        < 16 * Tebibyte => 32768,
        _ => 65536,
    };

    /// <summary>ext2fs_default_journal_size; 0 where the filesystem is too small.</summary>
    private static uint DefaultJournalBlockCount(ulong blockCount) => blockCount switch
    {
        < 2048 => 0,
        < 32768 => 1024,
        < 256 * 1024 => 4096,
        < 512 * 1024 => 8192,
        < 4096 * 1024 => 16384,
        < 8192 * 1024 => 32768,
        < 16384 * 1024 => 65536,
        < 32768 * 1024 => 131072,
        _ => 262144,
    };

    private void CountGroups(long byteLength)
    {
        uint descriptorsPerBlock = (uint)(BlockByteSize / DescriptorByteSize);
        ulong wantedInodes = (ulong)(byteLength / InodeRatio(byteLength));
        while (true)
        {
            if (BlockCount <= FirstDataBlock + 8)
            {
                throw TooSmall(byteLength);
            }

            GroupCount = DivideUp(BlockCount - FirstDataBlock, BlocksPerGroup);
            GdtBlockCount = DivideUp(GroupCount, descriptorsPerBlock);
            ReservedGdtBlockCount = ReservedFor(descriptorsPerBlock);
            SizeInodeTables(wantedInodes);
            uint last = GroupCount - 1;
            ulong overhead = HeaderBlockCount(last) + 2 + InodeTableBlockCount;
            if (BlocksInGroup(last) >= overhead + LeastUsefulBlocks)
            {
                return;
            }

            if (last == 0)
            {
                throw TooSmall(byteLength);
            }

            BlockCount = GroupStart(last);
        }
    }

    /// <summary>Room for growing a thousandfold, as far as one indirect block reaches.</summary>
    private uint ReservedFor(uint descriptorsPerBlock)
    {
        ulong target = BlockCount < uint.MaxValue / 1024 ? BlockCount * 1024 : uint.MaxValue;
        uint groups = DivideUp(target - FirstDataBlock, BlocksPerGroup);
        uint wanted = DivideUp(groups, descriptorsPerBlock);
        return wanted <= GdtBlockCount ? 0 : Math.Min(wanted - GdtBlockCount, (uint)BlockByteSize / sizeof(uint));
    }

    private void SizeInodeTables(ulong wantedInodes)
    {
        ulong perGroup = DivideUp(Math.Max(wantedInodes, 16), GroupCount);
        perGroup = Math.Min(perGroup, (ulong)BlockByteSize * 8);
        uint tableBlocks = DivideUp(perGroup * InodeByteSize, (ulong)BlockByteSize);
        uint inodes = (uint)(tableBlocks * (BlockByteSize / InodeByteSize)) & ~7u;
        InodesPerGroup = Math.Max(inodes, 16);
        InodeTableBlockCount = DivideUp((ulong)InodesPerGroup * InodeByteSize, (ulong)BlockByteSize);
    }

    private void PlaceTables()
    {
        for (uint group = 0; group < GroupCount; group++)
        {
            if (HeaderBlockCount(group) is > 0 and uint header)
            {
                _used.Add(new BlockRange(GroupStart(group), header));
            }
        }

        BlockBitmaps = new ulong[GroupCount];
        InodeBitmaps = new ulong[GroupCount];
        InodeTables = new ulong[GroupCount];
        uint flex = 1u << LogGroupsPerFlex;
        for (uint first = 0; first < GroupCount; first += flex)
        {
            uint end = Math.Min(first + flex, GroupCount);
            ulong goal = GroupStart(first);
            PlaceEach(first, end, 1, BlockBitmaps, ref goal);
            PlaceEach(first, end, 1, InodeBitmaps, ref goal);
            PlaceEach(first, end, InodeTableBlockCount, InodeTables, ref goal);
        }
    }

    /// <summary>One piece per group, each whole, one behind the other.</summary>
    private void PlaceEach(uint first, uint end, uint blockCount, ulong[] places, ref ulong goal)
    {
        for (uint group = first; group < end; group++)
        {
            goal = FindFree(goal, blockCount);
            places[group] = goal;
            Take(new BlockRange(goal, blockCount));
            goal += blockCount;
        }
    }

    private ulong FindFree(ulong goal, uint blockCount)
    {
        for (int i = FirstUsedEndingAfter(goal); i < _used.Count && _used[i].Start < goal + blockCount; i++)
        {
            goal = _used[i].End;
        }

        return goal + blockCount <= BlockCount ? goal : throw TooSmall((long)BlockCount * BlockByteSize);
    }

    /// <summary>Free blocks from the goal on, then from the start, in as few pieces as there are.</summary>
    private List<BlockRange> Allocate(uint blockCount, ulong goal)
    {
        var pieces = new List<BlockRange>();
        ulong missing = blockCount;
        foreach (ulong start in (ReadOnlySpan<ulong>)[Math.Max(goal, FirstDataBlock), FirstDataBlock])
        {
            ulong at = start;
            int next = FirstUsedEndingAfter(at);
            while (missing > 0 && at < BlockCount)
            {
                ulong end = next < _used.Count ? _used[next].Start : BlockCount;
                if (end > at)
                {
                    ulong count = Math.Min(Math.Min(end - at, missing), ExtentNodeOnDisk.MaximumWrittenLength);
                    pieces.Add(new BlockRange(at, count));
                    missing -= count;
                    at += count;
                }
                else
                {
                    at = _used[next++].End;
                }
            }

            if (missing == 0)
            {
                pieces.ForEach(Take);
                return pieces;
            }

            // From the start on there is what lies before the goal too.
            pieces.Clear();
            missing = blockCount;
        }

        throw TooSmall((long)BlockCount * BlockByteSize);
    }

    private void Take(BlockRange range)
    {
        int index = FirstUsedEndingAfter(range.Start);

        // Neighbours are merged, so that the list stays short.
        if (index > 0 && _used[index - 1].End == range.Start)
        {
            _used[index - 1] = new BlockRange(_used[index - 1].Start, _used[index - 1].Count + range.Count);
        }
        else
        {
            _used.Insert(index, range);
        }
    }

    private int FirstUsedEndingAfter(ulong block)
    {
        int low = 0;
        int high = _used.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_used[middle].End > block)
            {
                high = middle;
            }
            else
            {
                low = middle + 1;
            }
        }

        return low;
    }

    private static VDiskException TooSmall(long byteLength) => new(
        FailureKind.Usage, $"{byteLength} bytes are too few for an ext4 filesystem", null, "make the volume larger");
}
