using System.Security.Cryptography;
using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Journal;
using VDiskCrypt.Ext4.OnDisk;

namespace VDiskCrypt.Ext4.Formatting;

internal sealed partial class FormatWriter
{
    private const int SectorByteSize = 512;
    private const uint PrivateRegular = UnixMode.Regular | 0x180;
    private const uint OrphanBlockMagic = 0x0B10CA04;
    private const int DirectPointers = 12;
    private const int DoubleIndirectPointer = 13;
    private const byte JournalBackupBlocks = 1;

    private delegate void InodeFiller(InodeOnDisk inode);

    private void WriteRootDirectory()
    {
        uint seed = _checksum.InodeSeed(FormatLayout.RootInode, generation: 0);
        byte[] block = new byte[_blockByteSize];
        int offset = PutEntry(block, 0, FormatLayout.RootInode, "."u8, DirectoryEntryOnDisk.TypeDirectory);
        offset = PutEntry(block, offset, FormatLayout.RootInode, ".."u8, DirectoryEntryOnDisk.TypeDirectory);
        PutEntry(block, offset, FormatLayout.LostAndFoundInode, "lost+found"u8, DirectoryEntryOnDisk.TypeDirectory, toTheEnd: true);
        FinishDirectoryBlock(block, seed);
        Write(_layout.RootDirectory.Start, block);
        WriteInode(FormatLayout.RootInode, UnixMode.Directory | 0x1ED, linkCount: 3, [_layout.RootDirectory], inode =>
        {
            inode.UserId = _layout.Options.RootUserId;
            inode.GroupId = _layout.Options.RootGroupId;
        });
    }

    private void WriteLostAndFound()
    {
        uint seed = _checksum.InodeSeed(FormatLayout.LostAndFoundInode, generation: 0);
        byte[] block = new byte[_blockByteSize];
        bool first = true;
        foreach (ulong number in Blocks(_layout.LostAndFound))
        {
            block.AsSpan().Clear();
            if (first)
            {
                int offset = PutEntry(block, 0, FormatLayout.LostAndFoundInode, "."u8, DirectoryEntryOnDisk.TypeDirectory);
                PutEntry(block, offset, FormatLayout.RootInode, ".."u8, DirectoryEntryOnDisk.TypeDirectory, toTheEnd: true);
            }
            else
            {
                PutEntry(block, 0, 0, [], DirectoryEntryOnDisk.TypeUnknown, toTheEnd: true);
            }

            first = false;
            FinishDirectoryBlock(block, seed);
            Write(number, block);
        }

        WriteInode(FormatLayout.LostAndFoundInode, UnixMode.Directory | 0x1C0, linkCount: 2, _layout.LostAndFound);
    }

    /// <summary>
    /// The resize inode owns the room behind the group descriptors: its double-indirect block names the reserved blocks
    /// of group 0, and each of these, used as an indirect block, names its own copies in the backup groups.
    /// </summary>
    private void WriteResizeInode()
    {
        if (_layout.ReservedGdtBlockCount == 0)
        {
            return;
        }

        int pointers = _blockByteSize / sizeof(uint);
        uint[] backups = [.. Enumerable.Range(1, (int)_layout.GroupCount - 1).Select(group => (uint)group).Where(FormatLayout.HasSuperblock)];
        byte[] doubleIndirect = new byte[_blockByteSize];
        byte[] indirect = new byte[_blockByteSize];
        for (uint i = 0; i < _layout.ReservedGdtBlockCount; i++)
        {
            ulong reserved = _layout.FirstDataBlock + 1 + _layout.GdtBlockCount + i;
            doubleIndirect.AsSpan().SetU32((int)((_layout.GdtBlockCount + i) % pointers) * sizeof(uint), (uint)reserved);
            indirect.AsSpan().Clear();
            for (int backup = 0; backup < backups.Length && backup < pointers; backup++)
            {
                indirect.AsSpan().SetU32(backup * sizeof(uint), (uint)(reserved + ((ulong)backups[backup] * _layout.BlocksPerGroup)));
            }

            Write(reserved, indirect);
        }

        Write(_layout.ResizeDoubleIndirect, doubleIndirect);
        ulong owned = 1 + ((ulong)_layout.ReservedGdtBlockCount * (1 + (ulong)Math.Min(backups.Length, pointers)));
        WriteInode(FormatLayout.ResizeInode, PrivateRegular, linkCount: 1, [], inode =>
        {
            inode.Block.Clear();
            inode.Block.SetU32(DoubleIndirectPointer * sizeof(uint), (uint)_layout.ResizeDoubleIndirect);
            inode.Flags = 0;
            inode.Size = (ulong)_blockByteSize * (((ulong)pointers * (ulong)pointers) + (ulong)pointers + DirectPointers);
            inode.Blocks = owned * (ulong)(_blockByteSize / SectorByteSize);
        });
    }

    private void WriteOrphanFile()
    {
        if (_layout.OrphanFile.Count == 0)
        {
            return;
        }

        uint seed = _checksum.InodeSeed(FormatLayout.OrphanFileInode, generation: 0);
        byte[] block = new byte[_blockByteSize];
        foreach (ulong number in Blocks(_layout.OrphanFile))
        {
            block.AsSpan().SetU32(_blockByteSize - 8, OrphanBlockMagic);
            block.AsSpan().SetU32(_blockByteSize - 4, MetadataChecksum.OrphanBlock(seed, number, block));
            Write(number, block);
        }

        WriteInode(FormatLayout.OrphanFileInode, PrivateRegular, linkCount: 1, _layout.OrphanFile);
    }

    private void WriteJournal()
    {
        if (_layout.JournalBlockCount == 0)
        {
            return;
        }

        // s_start 0 says that the log is empty; the rest stays unwritten. What lies there may be the log of an earlier
        // filesystem: its UUID, which seeds all checksums, differs from this one.
        byte[] block = new byte[_blockByteSize];
        var journal = new JournalSuperblockOnDisk(block)
        {
            Magic = JournalFormat.Magic,
            BlockType = JournalFormat.TypeSuperblockV2,
            BlockByteSize = (uint)_blockByteSize,
            BlockCount = _layout.JournalBlockCount,
            First = 1,
            Sequence = 1,
            UserCount = 1,
            Incompatible = JournalIncompatibleFeatures.Revoke | JournalIncompatibleFeatures.SixtyFourBit
                | JournalIncompatibleFeatures.ChecksumV3,
            ChecksumType = JournalSuperblockOnDisk.ChecksumTypeCrc32C,
        };
        RandomNumberGenerator.Fill(journal.Uuid);
        journal.Checksum = journal.ComputeChecksum();
        Write(_layout.Journal[0].Start, block);
        WriteInode(FormatLayout.JournalInode, PrivateRegular, linkCount: 1, _layout.Journal, inode =>
        {
            SuperblockOnDisk superblock = Superblock;
            superblock.JournalBackupType = JournalBackupBlocks;
            inode.Block.CopyTo(superblock.JournalBlocks);
            superblock.JournalBlocks.SetU32(InodeOnDisk.BlockByteLength, (uint)(inode.Size >> 32));
            superblock.JournalBlocks.SetU32(InodeOnDisk.BlockByteLength + sizeof(uint), (uint)inode.Size);
        });
    }

    private void WriteInode(uint number, uint mode, ushort linkCount, IReadOnlyList<BlockRange> ranges, InodeFiller? fill = null)
    {
        byte[] bytes = new byte[FormatLayout.InodeByteSize];
        uint seed = _checksum.InodeSeed(number, generation: 0);
        ulong blockCount = (ulong)ranges.Sum(range => (long)range.Count);
        var inode = new InodeOnDisk(bytes)
        {
            Mode = (ushort)mode,
            LinkCount = linkCount,
            ExtraSize = ExtraInodeByteSize,
            Size = blockCount * (ulong)_blockByteSize,
            Flags = InodeFlags.Extents,
        };
        inode.AccessTime = _now;
        inode.ModifyTime = _now;
        inode.ChangeTime = _now;
        inode.BirthTime = _now;
        bool hasLeaf = ranges.Count > ExtentNodeOnDisk.RootCapacity;
        inode.Blocks = (blockCount + (hasLeaf ? 1u : 0)) * (ulong)(_blockByteSize / SectorByteSize);
        PutExtents(inode, seed, ranges, hasLeaf);
        fill?.Invoke(inode);
        MetadataChecksum.StoreInode(seed, inode);
        long offset = ((long)_layout.InodeTables[0] * _blockByteSize) + ((number - 1L) * FormatLayout.InodeByteSize);
        _device.Write(offset, bytes);
    }

    private void PutExtents(InodeOnDisk inode, uint seed, IReadOnlyList<BlockRange> ranges, bool hasLeaf)
    {
        var root = new ExtentNodeOnDisk(inode.Block);
        root.Initialize(ExtentNodeOnDisk.RootCapacity, hasLeaf ? 1 : 0);
        if (!hasLeaf)
        {
            PutEntries(root, ranges);
            return;
        }

        byte[] block = new byte[_blockByteSize];
        var leaf = new ExtentNodeOnDisk(block);
        leaf.Initialize(ExtentNodeOnDisk.CapacityOf(_blockByteSize), 0);
        PutEntries(leaf, ranges);
        block.AsSpan().SetU32(leaf.TailOffset, MetadataChecksum.ExtentBlock(seed, block, leaf.TailOffset));
        Write(_layout.JournalLeaf, block);
        root.Count = 1;
        root.SetIndex(0, 0, _layout.JournalLeaf);
    }

    private static void PutEntries(ExtentNodeOnDisk node, IReadOnlyList<BlockRange> ranges)
    {
        uint logical = 0;
        node.Count = (ushort)ranges.Count;
        for (int i = 0; i < ranges.Count; i++)
        {
            node.SetExtent(i, logical, (ushort)ranges[i].Count, ranges[i].Start);
            logical += (uint)ranges[i].Count;
        }
    }

    private int PutEntry(byte[] block, int offset, uint inode, ReadOnlySpan<byte> name, byte type, bool toTheEnd = false)
    {
        int length = toTheEnd
            ? _blockByteSize - DirectoryEntryOnDisk.TailByteLength - offset
            : DirectoryEntryOnDisk.ByteLengthFor(name.Length);
        var entry = new DirectoryEntryOnDisk(block.AsSpan(offset))
        {
            Inode = inode,
            RawLength = DirectoryEntryOnDisk.EncodeLength(length, _blockByteSize),
            NameLength = (byte)name.Length,
            FileType = type,
        };
        name.CopyTo(entry.Name);
        return offset + length;
    }

    private void FinishDirectoryBlock(byte[] block, uint inodeSeed)
    {
        var tail = new DirectoryEntryOnDisk(block.AsSpan(_blockByteSize - DirectoryEntryOnDisk.TailByteLength))
        {
            RawLength = DirectoryEntryOnDisk.TailByteLength,
            FileType = DirectoryEntryOnDisk.TypeChecksumTail,
        };
        tail.Bytes.SetU32(8, MetadataChecksum.DirectoryBlock(inodeSeed, block));
    }

    private static IEnumerable<ulong> Blocks(IReadOnlyList<BlockRange> ranges) =>
        ranges.SelectMany(range => Enumerable.Range(0, (int)range.Count).Select(i => range.Start + (ulong)i));
}
