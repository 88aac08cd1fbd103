using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Allocation;
using VDiskCrypt.Ext4.Cache;
using VDiskCrypt.Ext4.Extents;
using VDiskCrypt.Ext4.OnDisk;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4.Inodes;

/// <content>Between the fields and the bytes of the inode table.</content>
internal sealed partial class InodeStore
{
    /// <summary>i_extra_isize of new inodes where the superblock has no wish: up to i_projid.</summary>
    private const int DefaultExtraSize = 32;

    /// <summary>Inodes without links that wait for their end; they are not stale.</summary>
    public required Func<uint, bool> IsOrphan { get; init; }

    public required Func<ulong> RunningTransaction { get; init; }

    /// <summary>The inode's bytes in its table block, which is pinned and goes to the caller. Lock the block to change them.</summary>
    public MetadataBlock GetTableBlock(uint number, out int byteOffset)
    {
        BlockGroup group = _groups[_geometry.GroupOfInode(number)];
        uint index = (number - 1) % _geometry.InodesPerGroup;
        byteOffset = (int)(index % (uint)_geometry.InodesPerBlock) * _geometry.InodeByteSize;
        return _cache.Get(group.InodeTable + index / (uint)_geometry.InodesPerBlock);
    }

    /// <summary>Writes the fields into the inode table.</summary>
    /// <param name="handle">The transaction.</param>
    /// <param name="inode">Its <see cref="Inode.Map"/> or exclusive lock is held.</param>
    /// <param name="changesData">Whether reading the data back after a crash needs this change (map, size).</param>
    public void Save(TransactionHandle handle, Inode inode, bool changesData)
    {
        inode.LastTransaction = handle.Transaction.Id;
        if (changesData)
        {
            inode.LastDataTransaction = handle.Transaction.Id;
        }

        using MetadataBlock block = GetTableBlock(inode.Number, out int byteOffset);
        handle.Modify(block);
        lock (block)
        {
            var raw = new InodeOnDisk(block.Bytes.Slice(byteOffset, _geometry.InodeByteSize));
            Fill(raw, inode);
            StoreChecksum(inode, raw);
        }
    }

    /// <summary>Clears the bytes of a new inode and gives it its extra size; the fields follow with <see cref="Save"/>.</summary>
    public void Initialize(TransactionHandle handle, Inode inode)
    {
        using MetadataBlock block = GetTableBlock(inode.Number, out int byteOffset);
        handle.Modify(block);
        lock (block)
        {
            Span<byte> bytes = block.Bytes.Slice(byteOffset, _geometry.InodeByteSize);
            bytes.Clear();
            if (bytes.Length > InodeOnDisk.GoodOldByteLength)
            {
                int wanted = _geometry.WantedExtraInodeSize >= DefaultExtraSize ? _geometry.WantedExtraInodeSize : DefaultExtraSize;
                _ = new InodeOnDisk(bytes) { ExtraSize = (ushort)Math.Min(wanted & ~3, bytes.Length - InodeOnDisk.GoodOldByteLength) };
            }
        }
    }

    /// <summary>Sets i_dtime: the time of deletion, or the next inode of the orphan list.</summary>
    public void SetDeletionTime(TransactionHandle handle, uint number, uint value)
    {
        using MetadataBlock block = GetTableBlock(number, out int byteOffset);
        handle.Modify(block);
        lock (block)
        {
            var raw = new InodeOnDisk(block.Bytes.Slice(byteOffset, _geometry.InodeByteSize)) { DeletionTime = value };
            if (_checksum.IsEnabled)
            {
                MetadataChecksum.StoreInode(_checksum.InodeSeed(number, raw.Generation), raw);
            }
        }
    }

    public uint GetDeletionTime(uint number)
    {
        using MetadataBlock block = GetTableBlock(number, out int byteOffset);
        return new InodeOnDisk(block.Bytes.Slice(byteOffset, _geometry.InodeByteSize)).DeletionTime;
    }

    /// <summary>After a change of the in-inode attributes; under the block's monitor.</summary>
    public void StoreChecksum(Inode inode, InodeOnDisk raw)
    {
        if (_checksum.IsEnabled)
        {
            MetadataChecksum.StoreInode(inode.ChecksumSeed, raw);
        }
    }

    private void Fill(InodeOnDisk raw, Inode inode)
    {
        raw.Mode = (ushort)inode.Mode;
        raw.UserId = inode.UserId;
        raw.GroupId = inode.GroupId;
        raw.Size = (ulong)inode.Size;
        raw.LinkCount = (ushort)inode.LinkCount;
        raw.Generation = inode.Generation;
        raw.AttributeBlock = inode.AttributeBlock;
        raw.AccessTime = inode.AccessTime;
        raw.ModifyTime = inode.ModifyTime;
        raw.ChangeTime = inode.ChangeTime;
        raw.BirthTime = inode.BirthTime;
        if (inode.Blocks512 >> 48 != 0)
        {
            inode.Flags |= InodeFlags.HugeFile;
            raw.Blocks = inode.Blocks512 >> (_geometry.BlockBits - 9);
        }
        else
        {
            inode.Flags &= ~InodeFlags.HugeFile;
            raw.Blocks = inode.Blocks512;
        }

        raw.Flags = inode.Flags;
        inode.Block.CopyTo(raw.Block);
    }

    private void Load(Inode inode)
    {
        uint number = inode.Number;
        BlockGroup group = _groups[_geometry.GroupOfInode(number)];
        uint index = (number - 1) % _geometry.InodesPerGroup;
        if ((group.Flags & GroupFlags.InodeUninitialized) != 0 || index >= _geometry.InodesPerGroup - group.UnusedInodes)
        {
            inode.IsFreed = true;
            return;
        }

        // Asked before the block is locked: the orphan list locks itself first and table blocks then.
        bool isOrphan = IsOrphan(number);
        using MetadataBlock block = GetTableBlock(number, out int byteOffset);
        lock (block)
        {
            block.VerifiedAs = BlockKind.InodeTable;
            var raw = new InodeOnDisk(block.Bytes.Slice(byteOffset, _geometry.InodeByteSize));
            if (raw.LinkCount == 0 && (raw.Mode == 0 || !isOrphan))
            {
                inode.IsFreed = true;
                return;
            }

            long where = ((long)block.Number << _geometry.BlockBits) + byteOffset;
            Check(inode, raw, where);
            Read(inode, raw);
            CheckMap(inode, where);
        }

        // What was not committed when the inode left memory is still in the running transaction, at the latest.
        inode.LastTransaction = inode.LastDataTransaction = RunningTransaction();
        inode.IsLoaded = true;
    }

    private void Read(Inode inode, InodeOnDisk raw)
    {
        inode.Mode = raw.Mode;
        inode.UserId = raw.UserId;
        inode.GroupId = raw.GroupId;
        inode.Size = (long)raw.Size;
        inode.LinkCount = raw.LinkCount;
        inode.Flags = raw.Flags;
        inode.Generation = raw.Generation;
        inode.AttributeBlock = raw.AttributeBlock;
        inode.AccessTime = raw.AccessTime;
        inode.ModifyTime = raw.ModifyTime;
        inode.ChangeTime = raw.ChangeTime;
        inode.BirthTime = raw.BirthTime;
        inode.Blocks512 = (raw.Flags & InodeFlags.HugeFile) != 0 ? raw.Blocks << (_geometry.BlockBits - 9) : raw.Blocks;
        raw.Block.CopyTo(inode.Block);
    }

    private void Check(Inode inode, InodeOnDisk raw, long where)
    {
        inode.ChecksumSeed = _checksum.InodeSeed(inode.Number, raw.Generation);
        if (raw.Bytes.Length > InodeOnDisk.GoodOldByteLength
            && (raw.ExtraSize > raw.Bytes.Length - InodeOnDisk.GoodOldByteLength || (raw.ExtraSize & 3) != 0))
        {
            throw Bad(inode, where, "the extra size is not valid");
        }

        if (_checksum.IsEnabled && !MetadataChecksum.InodeMatches(inode.ChecksumSeed, raw))
        {
            throw Bad(inode, where, "the checksum does not match");
        }

        const InodeFlags Unhandled = InodeFlags.InlineData | InodeFlags.Encrypt | InodeFlags.Verity
            | InodeFlags.ExtendedAttributeInode | InodeFlags.CaseFold | InodeFlags.Compress;
        if ((raw.Flags & Unhandled) != 0)
        {
            throw VDiskException.Unsupported(
                $"ext4 inode {inode.Number}", $"the inode has flags that are not supported (0x{(uint)(raw.Flags & Unhandled):x})");
        }

        if (raw.Size > long.MaxValue || DirectoryTypeOf(raw.Mode) == 0)
        {
            throw Bad(inode, where, "the type or the size is not valid");
        }

        if (raw.AttributeBlock != 0 && !_blocks.IsDataRange(raw.AttributeBlock, 1))
        {
            throw Bad(inode, where, "the block of extended attributes lies outside the data blocks");
        }
    }

    private void CheckMap(Inode inode, long where)
    {
        if (inode.HasExtents && !ExtentTree.IsValidRoot(inode.Block))
        {
            throw Bad(inode, where, "the root of the extent tree is not valid");
        }

        long limit = (long)ExtentTree.BlockLimit << _geometry.BlockBits;
        if (inode.Size > limit || inode.IsDirectory && (inode.Size & (_geometry.BlockByteSize - 1)) != 0)
        {
            throw Bad(inode, where, "the size is not valid");
        }
    }

    private static byte DirectoryTypeOf(uint mode) => DirectoryEntryOnDisk.TypeFromMode(mode);

    private static VDiskException Bad(Inode inode, long byteOffset, string what) =>
        VDiskException.Damaged($"ext4 inode {inode.Number}", byteOffset, what, "check the filesystem with e2fsck");
}
