using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Allocation;
using VDiskCrypt.Ext4.Cache;
using VDiskCrypt.Ext4.Inodes;
using VDiskCrypt.Ext4.OnDisk;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4.Files;

internal interface IEntryVisitor
{
    bool Visit(ReadOnlySpan<byte> name, uint inode, byte type, ulong nextCookie);
}

/// <summary>The names in directories.</summary>
internal sealed class DirectoryContent(
    Geometry geometry, MetadataChecksum checksum, BlockCache cache, BlockAllocator blocks, InodeStore inodes, FileContent content)
{
    private readonly int _bs = geometry.BlockByteSize;

    private int End => _bs - (checksum.IsEnabled ? 12 : 0);

    public bool TryFind(Inode dir, ReadOnlySpan<byte> name, out uint number, out byte type)
    {
        _ = (cache, blocks, inodes);
        for (uint b = 0; b < Count(dir); b++)
        {
            using MetadataBlock block = content.GetMetadataBlock(dir, b);
            for (int o = 0; o < End;)
            {
                var e = new DirectoryEntryOnDisk(block.Bytes[o..]);
                if (e.Inode != 0 && e.Name.SequenceEqual(name))
                {
                    number = e.Inode;
                    type = e.FileType;
                    return true;
                }

                o += e.RawLength;
            }
        }

        number = 0;
        type = 0;
        return false;
    }

    public FileSystemError Initialize(TransactionHandle handle, Inode dir, uint parent)
    {
        using MetadataBlock? block = content.AppendMetadataBlock(handle, dir, 0, BlockKind.Directory);
        if (block is null)
        {
            return FileSystemError.NoSpace;
        }

        dir.Size = _bs;
        Put(block.Bytes, 0, 12, dir.Number, "."u8, 2);
        Put(block.Bytes, 12, End - 12, parent, ".."u8, 2);
        Finish(dir, block);
        return FileSystemError.None;
    }

    public FileSystemError Add(TransactionHandle handle, Inode dir, ReadOnlySpan<byte> name, uint number, byte type)
    {
        int need = DirectoryEntryOnDisk.ByteLengthFor(name.Length);
        for (uint b = 0; b < Count(dir); b++)
        {
            using MetadataBlock block = content.GetMetadataBlock(dir, b);
            for (int o = 0; o < End;)
            {
                var e = new DirectoryEntryOnDisk(block.Bytes[o..]);
                int used = e.Inode == 0 ? 0 : DirectoryEntryOnDisk.ByteLengthFor(e.NameLength);
                int len = e.RawLength;
                if (len - used >= need)
                {
                    handle.Modify(block);
                    if (used > 0)
                    {
                        e.RawLength = (ushort)used;
                    }

                    Put(block.Bytes, o + used, len - used, number, name, type);
                    Finish(dir, block);
                    return FileSystemError.None;
                }

                o += len;
            }
        }

        using MetadataBlock? fresh = content.AppendMetadataBlock(handle, dir, Count(dir), BlockKind.Directory);
        if (fresh is null)
        {
            return FileSystemError.NoSpace;
        }

        dir.Size += _bs;
        Put(fresh.Bytes, 0, End, number, name, type);
        Finish(dir, fresh);
        return FileSystemError.None;
    }

    public void Remove(TransactionHandle handle, Inode dir, ReadOnlySpan<byte> name)
    {
        for (uint b = 0; b < Count(dir); b++)
        {
            using MetadataBlock block = content.GetMetadataBlock(dir, b);
            int prev = -1;
            for (int o = 0; o < End;)
            {
                var e = new DirectoryEntryOnDisk(block.Bytes[o..]);
                if (e.Inode != 0 && e.Name.SequenceEqual(name))
                {
                    handle.Modify(block);
                    if (prev >= 0)
                    {
                        var p = new DirectoryEntryOnDisk(block.Bytes[prev..]);
                        p.RawLength += e.RawLength;
                    }
                    else
                    {
                        e.Inode = 0;
                    }

                    Finish(dir, block);
                    return;
                }

                prev = o;
                o += e.RawLength;
            }
        }
    }

    public void Replace(TransactionHandle handle, Inode dir, ReadOnlySpan<byte> name, uint number, byte type)
    {
        for (uint b = 0; b < Count(dir); b++)
        {
            using MetadataBlock block = content.GetMetadataBlock(dir, b);
            for (int o = 0; o < End;)
            {
                var e = new DirectoryEntryOnDisk(block.Bytes[o..]);
                if (e.Inode != 0 && e.Name.SequenceEqual(name))
                {
                    handle.Modify(block);
                    e.Inode = number;
                    e.FileType = type;
                    Finish(dir, block);
                    return;
                }

                o += e.RawLength;
            }
        }
    }

    public bool IsEmpty(Inode dir)
    {
        for (uint b = 0; b < Count(dir); b++)
        {
            using MetadataBlock block = content.GetMetadataBlock(dir, b);
            for (int o = 0; o < End;)
            {
                var e = new DirectoryEntryOnDisk(block.Bytes[o..]);
                if (e.Inode != 0 && !e.Name.SequenceEqual("."u8) && !e.Name.SequenceEqual(".."u8))
                {
                    return false;
                }

                o += e.RawLength;
            }
        }

        return true;
    }

    public void List(Inode dir, ulong cookie, IEntryVisitor visitor)
    {
        ulong pos = cookie;
        while (pos < (ulong)dir.Size)
        {
            var b = (uint)(pos >> geometry.BlockBits);
            using MetadataBlock block = content.GetMetadataBlock(dir, b);
            var want = (int)(pos & (ulong)(_bs - 1));
            for (int o = 0; o < End;)
            {
                var e = new DirectoryEntryOnDisk(block.Bytes[o..]);
                int next = o + e.RawLength;
                ulong nextPos = next >= End ? (ulong)(b + 1) << geometry.BlockBits : ((ulong)b << geometry.BlockBits) + (ulong)next;
                if (o >= want && e.Inode != 0 && !visitor.Visit(e.Name, e.Inode, e.FileType, nextPos))
                {
                    return;
                }

                o = next;
            }

            pos = (ulong)(b + 1) << geometry.BlockBits;
        }
    }

    public uint ReadParent(Inode dir)
    {
        using MetadataBlock block = content.GetMetadataBlock(dir, 0);
        return new DirectoryEntryOnDisk(block.Bytes[12..]).Inode;
    }

    public void WriteParent(TransactionHandle handle, Inode dir, uint number)
    {
        using MetadataBlock block = content.GetMetadataBlock(dir, 0);
        handle.Modify(block);
        _ = new DirectoryEntryOnDisk(block.Bytes[12..]) { Inode = number };
        Finish(dir, block);
    }

    private uint Count(Inode dir) => (uint)(dir.Size >> geometry.BlockBits);

    private static void Put(Span<byte> bytes, int offset, int length, uint number, ReadOnlySpan<byte> name, byte type)
    {
        var e = new DirectoryEntryOnDisk(bytes[offset..]) { Inode = number, RawLength = (ushort)length, NameLength = (byte)name.Length, FileType = type };
        name.CopyTo(e.Name);
    }

    private void Finish(Inode dir, MetadataBlock block)
    {
        if (checksum.IsEnabled)
        {
            Span<byte> tail = block.Bytes[^12..];
            tail.Clear();
            tail.SetU16(4, 12);
            tail[7] = 0xDE;
            tail.SetU32(8, MetadataChecksum.DirectoryBlock(dir.ChecksumSeed, block.Bytes));
        }
    }
}
