using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Cache;
using VDiskCrypt.Ext4.Extents;
using VDiskCrypt.Ext4.OnDisk;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4.Inodes;

/// <summary>
/// The file of the orphan_file feature: blocks of inode numbers (0: free), each ended by a magic number and a checksum.
/// Source: Linux Documentation/filesystems/ext4/orphan.rst. Used under the lock of <see cref="OrphanList"/>.
/// </summary>
internal sealed class OrphanFile
{
    private const uint Magic = 0x0B10CA04;
    private const int TailByteLength = 8;

    /// <summary>mke2fs makes at most 512 blocks.</summary>
    private const int BlockLimit = 4096;

    private readonly BlockCache _cache;
    private readonly uint _checksumSeed;
    private readonly bool _hasChecksums;
    private readonly ulong[] _blocks;
    private readonly int[] _freeSlots;
    private readonly int _slotsPerBlock;

    public OrphanFile(BlockCache cache, ExtentTree extents, Inode inode, bool hasChecksums)
    {
        _cache = cache;
        _checksumSeed = inode.ChecksumSeed;
        _hasChecksums = hasChecksums;
        _slotsPerBlock = (cache.BlockByteSize - TailByteLength) / sizeof(uint);
        long count = inode.Size / cache.BlockByteSize;
        if (!inode.HasExtents || !inode.IsRegular || count is 0 or > BlockLimit)
        {
            throw VDiskException.Damaged(
                $"ext4 orphan file (inode {inode.Number})", 0, "its size or type is not valid", "check the filesystem with e2fsck");
        }

        _blocks = new ulong[count];
        _freeSlots = new int[count];
        for (uint i = 0; i < count; i++)
        {
            Mapping mapping = extents.Find(inode, i);
            if (!mapping.IsData)
            {
                throw VDiskException.Damaged(
                    $"ext4 orphan file (inode {inode.Number})", 0, $"logical block {i} is not mapped",
                    "check the filesystem with e2fsck");
            }

            _blocks[i] = mapping.Physical + (i - mapping.First);
        }
    }

    /// <summary>Checks all blocks and reports the slots in use.</summary>
    public void Load(Action<uint, int> found)
    {
        for (int i = 0; i < _blocks.Length; i++)
        {
            using MetadataBlock block = _cache.Get(_blocks[i]);
            Span<byte> bytes = block.Bytes;
            if (bytes.U32(bytes.Length - TailByteLength) != Magic
                || _hasChecksums && bytes.U32(bytes.Length - 4)
                    != MetadataChecksum.OrphanBlock(_checksumSeed, block.Number, bytes))
            {
                throw VDiskException.Damaged(
                    "ext4 orphan file", (long)block.Number * bytes.Length, "a block's magic number or checksum is wrong",
                    "check the filesystem with e2fsck");
            }

            block.VerifiedAs = BlockKind.OrphanFile;
            for (int slot = 0; slot < _slotsPerBlock; slot++)
            {
                uint inode = bytes.U32(slot * sizeof(uint));
                if (inode == 0)
                {
                    _freeSlots[i]++;
                }
                else
                {
                    found(inode, i * _slotsPerBlock + slot);
                }
            }
        }
    }

    public bool TryAdd(TransactionHandle handle, uint inode, out int slot)
    {
        for (int i = 0; i < _blocks.Length; i++)
        {
            if (_freeSlots[i] == 0)
            {
                continue;
            }

            using MetadataBlock block = _cache.Get(_blocks[i]);
            for (int inBlock = 0; inBlock < _slotsPerBlock; inBlock++)
            {
                if (block.Bytes.U32(inBlock * sizeof(uint)) == 0)
                {
                    slot = i * _slotsPerBlock + inBlock;
                    _freeSlots[i]--;
                    Store(handle, block, inBlock, inode);
                    return true;
                }
            }
        }

        slot = -1;
        return false;
    }

    public void Clear(TransactionHandle handle, int slot)
    {
        using MetadataBlock block = _cache.Get(_blocks[slot / _slotsPerBlock]);
        _freeSlots[slot / _slotsPerBlock]++;
        Store(handle, block, slot % _slotsPerBlock, 0);
    }

    private void Store(TransactionHandle handle, MetadataBlock block, int slot, uint inode)
    {
        handle.Modify(block);
        block.Bytes.SetU32(slot * sizeof(uint), inode);
        if (_hasChecksums)
        {
            block.Bytes.SetU32(
                block.Bytes.Length - 4, MetadataChecksum.OrphanBlock(_checksumSeed, block.Number, block.Bytes));
        }
    }
}
