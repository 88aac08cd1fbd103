using VDiskCrypt.Core;
using VDiskCrypt.Ext4.OnDisk;

namespace VDiskCrypt.Ext4.Formatting;

/// <summary>Writes a planned filesystem to its device.</summary>
internal sealed partial class FormatWriter
{
    /// <summary>i_extra_isize: through i_projid.</summary>
    public const ushort ExtraInodeByteSize = 32;

    private readonly IBlockDevice _device;
    private readonly FormatLayout _layout;
    private readonly byte[] _superblock = new byte[SuperblockOnDisk.ByteLength];
    private readonly MetadataChecksum _checksum;
    private readonly UnixTime _now;
    private readonly int _blockByteSize;

    public FormatWriter(IBlockDevice device, FormatLayout layout, Action<FormatLayout, byte[]> buildSuperblock)
    {
        _device = device;
        _layout = layout;
        _blockByteSize = layout.BlockByteSize;
        _now = layout.Options.Time ?? UnixTime.Now;
        buildSuperblock(layout, _superblock);
        _checksum = new MetadataChecksum(Superblock);
    }

    private SuperblockOnDisk Superblock => new(_superblock);

    public void WriteAll()
    {
        _device.WriteZeroes(0, Math.Max(_blockByteSize, SuperblockOnDisk.ByteOffset + SuperblockOnDisk.ByteLength));
        Zero(new BlockRange(_layout.InodeTables[0], _layout.InodeTableBlockCount));
        WriteRootDirectory();
        WriteLostAndFound();
        WriteResizeInode();
        WriteOrphanFile();
        WriteJournal();
        WriteGroups();
        _device.Flush();
        WriteSuperblock(0);
        _device.Flush();
    }

    /// <summary>Bitmaps of the groups that have any, the descriptors, and all backups.</summary>
    private void WriteGroups()
    {
        byte[] table = new byte[_layout.GdtBlockCount * (uint)_blockByteSize];
        ulong freeBlocks = 0;
        for (uint group = 0; group < _layout.GroupCount; group++)
        {
            var descriptor = new GroupDescriptorOnDisk(
                table.AsSpan((int)group * FormatLayout.DescriptorByteSize, FormatLayout.DescriptorByteSize));
            FillDescriptor(group, descriptor);
            freeBlocks += descriptor.FreeBlockCount;
        }

        SuperblockOnDisk superblock = Superblock;
        superblock.FreeBlockCount = freeBlocks;
        for (uint group = 0; group < _layout.GroupCount; group++)
        {
            if (!FormatLayout.HasSuperblock(group))
            {
                continue;
            }

            Write(_layout.GroupStart(group) + 1, table);
            if (group > 0)
            {
                Zero(new BlockRange(_layout.GroupStart(group) + 1 + _layout.GdtBlockCount, _layout.ReservedGdtBlockCount));
                WriteSuperblock(group);
            }
        }
    }

    private void FillDescriptor(uint group, GroupDescriptorOnDisk descriptor)
    {
        uint blocks = _layout.BlocksInGroup(group);
        BlockRange[] used = [.. _layout.UsedIn(group)];
        uint usedCount = (uint)used.Sum(range => (long)range.Count);
        bool isLast = group == _layout.GroupCount - 1;
        bool headerOnly = usedCount == Math.Min(_layout.HeaderBlockCount(group), blocks);
        uint usedInodes = group == 0 ? _layout.UsedInodeCount : 0;

        descriptor.BlockBitmap = _layout.BlockBitmaps[group];
        descriptor.InodeBitmap = _layout.InodeBitmaps[group];
        descriptor.InodeTable = _layout.InodeTables[group];
        descriptor.FreeBlockCount = blocks - usedCount;
        descriptor.FreeInodeCount = _layout.InodesPerGroup - usedInodes;
        descriptor.UnusedInodeCount = _layout.InodesPerGroup - usedInodes;
        descriptor.DirectoryCount = group == 0 ? 2u : 0;
        descriptor.Flags = (headerOnly && !isLast ? GroupFlags.BlockUninitialized : 0)
            | (group == 0 ? GroupFlags.InodeTableZeroed : GroupFlags.InodeUninitialized);
        if ((descriptor.Flags & GroupFlags.BlockUninitialized) == 0)
        {
            byte[] bitmap = BlockBitmap(group, used, blocks);
            Write(descriptor.BlockBitmap, bitmap);
            descriptor.BlockBitmapChecksum = _checksum.Bitmap(bitmap.AsSpan(0, (int)_layout.BlocksPerGroup / 8));
        }

        if (group == 0)
        {
            byte[] bitmap = InodeBitmap(usedInodes);
            Write(descriptor.InodeBitmap, bitmap);
            descriptor.InodeBitmapChecksum = _checksum.Bitmap(bitmap.AsSpan(0, (int)_layout.InodesPerGroup / 8));
        }

        descriptor.Checksum = _checksum.GroupDescriptor(group, descriptor.Bytes);
    }

    private byte[] BlockBitmap(uint group, BlockRange[] used, uint blocks)
    {
        byte[] bitmap = new byte[_blockByteSize];
        ulong start = _layout.GroupStart(group);
        foreach (BlockRange range in used)
        {
            SetBits(bitmap, (int)(range.Start - start), (int)range.Count);
        }

        // What lies behind the end of the filesystem is in use for ever.
        SetBits(bitmap, (int)blocks, (_blockByteSize * 8) - (int)blocks);
        return bitmap;
    }

    private byte[] InodeBitmap(uint usedInodes)
    {
        byte[] bitmap = new byte[_blockByteSize];
        SetBits(bitmap, 0, (int)usedInodes);
        SetBits(bitmap, (int)_layout.InodesPerGroup, (_blockByteSize * 8) - (int)_layout.InodesPerGroup);
        return bitmap;
    }

    private static void SetBits(byte[] bitmap, int first, int count)
    {
        for (int bit = first; bit < first + count; bit++)
        {
            if (bit % 8 == 0 && bit + 8 <= first + count)
            {
                bitmap[bit / 8] = 0xFF;
                bit += 7;
            }
            else
            {
                bitmap[bit / 8] |= (byte)(1 << (bit % 8));
            }
        }
    }

    private void WriteSuperblock(uint group)
    {
        SuperblockOnDisk superblock = Superblock;
        superblock.BlockGroupNumber = (ushort)group;
        superblock.Checksum = MetadataChecksum.Superblock(_superblock);
        long offset = group == 0 ? SuperblockOnDisk.ByteOffset : (long)_layout.GroupStart(group) * _blockByteSize;
        _device.Write(offset, _superblock);
    }

    private void Write(ulong block, ReadOnlySpan<byte> bytes) => _device.Write((long)block * _blockByteSize, bytes);

    private void Zero(BlockRange range)
    {
        if (range.Count > 0)
        {
            _device.WriteZeroes((long)range.Start * _blockByteSize, (long)range.Count * _blockByteSize);
        }
    }
}
