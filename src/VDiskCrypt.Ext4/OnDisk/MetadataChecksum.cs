using System.Buffers.Binary;
using VDiskCrypt.Core;

namespace VDiskCrypt.Ext4.OnDisk;

/// <summary>
/// The checksums of metadata_csum (CRC-32C, bare register) and of gdt_csum (CRC-16). Source: Linux
/// Documentation/filesystems/ext4/checksums.rst. Each method calculates; comparing and storing is the caller's, except
/// where the name says so. With metadata_csum off <see cref="IsEnabled"/> is false and nothing is to be stored.
/// </summary>
internal sealed class MetadataChecksum
{
    private readonly byte[] _uuid;

    public MetadataChecksum(SuperblockOnDisk superblock)
    {
        _uuid = superblock.Uuid.ToArray();
        IsEnabled = (superblock.ReadOnlyCompatible & ReadOnlyCompatibleFeatures.MetadataChecksum) != 0;
        IsGroupCrc16 = !IsEnabled
            && (superblock.ReadOnlyCompatible & ReadOnlyCompatibleFeatures.GroupDescriptorChecksum) != 0;
        Seed = (superblock.Incompatible & IncompatibleFeatures.ChecksumSeed) != 0
            ? superblock.ChecksumSeed
            : Crc32C.Update(uint.MaxValue, _uuid);
    }

    /// <summary>metadata_csum.</summary>
    public bool IsEnabled { get; }

    /// <summary>gdt_csum without metadata_csum: only group descriptors are protected, by a CRC-16.</summary>
    public bool IsGroupCrc16 { get; }

    public uint Seed { get; }

    /// <summary>Over everything before the checksum; not seeded by the UUID, since it covers it.</summary>
    public static uint Superblock(ReadOnlySpan<byte> superblock) =>
        Crc32C.Update(uint.MaxValue, superblock[..SuperblockOnDisk.ChecksumOffset]);

    /// <summary>Over the group's number and the descriptor with its checksum field as zero.</summary>
    public ushort GroupDescriptor(uint group, ReadOnlySpan<byte> descriptor)
    {
        Span<byte> number = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(number, group);
        const int ChecksumEnd = GroupDescriptorOnDisk.ChecksumOffset + 2;
        if (IsEnabled)
        {
            uint crc = Crc32C.Update(Seed, number);
            crc = Crc32C.Update(crc, descriptor[..GroupDescriptorOnDisk.ChecksumOffset]);
            crc = Crc32C.Update(crc, [0, 0]);
            return (ushort)Crc32C.Update(crc, descriptor[ChecksumEnd..]);
        }

        ushort register = Crc16.Update(ushort.MaxValue, _uuid);
        register = Crc16.Update(register, number);
        register = Crc16.Update(register, descriptor[..GroupDescriptorOnDisk.ChecksumOffset]);
        return descriptor.Length > ChecksumEnd ? Crc16.Update(register, descriptor[ChecksumEnd..]) : register;
    }

    /// <summary>Over the bytes of a bitmap that have meaning: clusters (or inodes) per group / 8.</summary>
    public uint Bitmap(ReadOnlySpan<byte> bitmap) => Crc32C.Update(Seed, bitmap);

    /// <summary>What seeds everything that belongs to one inode: its number and generation.</summary>
    public uint InodeSeed(uint inode, uint generation)
    {
        Span<byte> pair = stackalloc byte[8];
        BinaryPrimitives.WriteUInt32LittleEndian(pair, inode);
        BinaryPrimitives.WriteUInt32LittleEndian(pair[4..], generation);
        return Crc32C.Update(Seed, pair);
    }

    /// <summary>Over the whole inode with both halves of the checksum as zero; 16 bits where there is no high half.</summary>
    public static uint Inode(uint inodeSeed, InodeOnDisk inode)
    {
        ReadOnlySpan<byte> bytes = inode.Bytes;
        uint crc = Crc32C.Update(inodeSeed, bytes[..InodeOnDisk.ChecksumLowOffset]);
        crc = Crc32C.Update(crc, [0, 0]);
        crc = Crc32C.Update(crc, bytes[(InodeOnDisk.ChecksumLowOffset + 2)..InodeOnDisk.GoodOldByteLength]);
        if (bytes.Length == InodeOnDisk.GoodOldByteLength)
        {
            return crc & 0xFFFF;
        }

        crc = Crc32C.Update(crc, bytes[InodeOnDisk.GoodOldByteLength..InodeOnDisk.ChecksumHighOffset]);
        if (!inode.Fits(InodeOnDisk.ChecksumHighOffset, 2))
        {
            return Crc32C.Update(crc, bytes[InodeOnDisk.ChecksumHighOffset..]) & 0xFFFF;
        }

        crc = Crc32C.Update(crc, [0, 0]);
        return Crc32C.Update(crc, bytes[(InodeOnDisk.ChecksumHighOffset + 2)..]);
    }

    public static void StoreInode(uint inodeSeed, InodeOnDisk inode)
    {
        uint crc = Inode(inodeSeed, inode);
        inode.Bytes.SetU16(InodeOnDisk.ChecksumLowOffset, (ushort)crc);
        if (inode.Fits(InodeOnDisk.ChecksumHighOffset, 2))
        {
            inode.Bytes.SetU16(InodeOnDisk.ChecksumHighOffset, (ushort)(crc >> 16));
        }
    }

    public static bool InodeMatches(uint inodeSeed, InodeOnDisk inode)
    {
        uint stored = inode.Bytes.U16(InodeOnDisk.ChecksumLowOffset);
        if (inode.Fits(InodeOnDisk.ChecksumHighOffset, 2))
        {
            stored |= (uint)inode.Bytes.U16(InodeOnDisk.ChecksumHighOffset) << 16;
        }

        return stored == Inode(inodeSeed, inode);
    }

    /// <summary>Over an extent block up to its tail.</summary>
    public static uint ExtentBlock(uint inodeSeed, ReadOnlySpan<byte> block, int tailOffset) =>
        Crc32C.Update(inodeSeed, block[..tailOffset]);

    /// <summary>Over a directory leaf block up to its tail of 12 bytes; stored in the block's last 4.</summary>
    public static uint DirectoryBlock(uint inodeSeed, ReadOnlySpan<byte> block) =>
        Crc32C.Update(inodeSeed, block[..^DirectoryEntryOnDisk.TailByteLength]);

    /// <summary>
    /// Over a block of a hashed index: everything up to the last used entry, then the tail's reserved word and a zero for
    /// the checksum. The tail (dt_reserved, dt_checksum: 4 bytes each) lies behind the last possible entry.
    /// </summary>
    /// <param name="countLimitOffset">Where dx_countlimit lies (0x20 in the root, 0x8 in a node).</param>
    /// <param name="count">dx_countlimit.count.</param>
    /// <param name="limit">dx_countlimit.limit.</param>
    public static uint IndexBlock(uint inodeSeed, ReadOnlySpan<byte> block, int countLimitOffset, int count, int limit)
    {
        uint crc = Crc32C.Update(inodeSeed, block[..(countLimitOffset + count * 8)]);
        crc = Crc32C.Update(crc, block.Slice(countLimitOffset + limit * 8, 4));
        return Crc32C.Update(crc, [0, 0, 0, 0]);
    }

    /// <summary>Over the block's number and the block with h_checksum (byte 0x10) as zero.</summary>
    public uint AttributeBlock(ulong blockNumber, ReadOnlySpan<byte> block)
    {
        Span<byte> number = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(number, blockNumber);
        uint crc = Crc32C.Update(Seed, number);
        crc = Crc32C.Update(crc, block[..0x10]);
        crc = Crc32C.Update(crc, [0, 0, 0, 0]);
        return Crc32C.Update(crc, block[0x14..]);
    }

    /// <summary>Over a block of the orphan file: the block's number, then the inode numbers before the tail of 8 bytes.</summary>
    public static uint OrphanBlock(uint inodeSeed, ulong blockNumber, ReadOnlySpan<byte> block)
    {
        Span<byte> number = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(number, blockNumber);
        return Crc32C.Update(Crc32C.Update(inodeSeed, number), block[..^8]);
    }
}
