using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Allocation;
using VDiskCrypt.Ext4.Cache;
using VDiskCrypt.Ext4.Inodes;
using VDiskCrypt.Ext4.OnDisk;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4.Attributes;

/// <summary>
/// Extended attributes and access control lists of inodes: behind the inode's fields, and in one block that several inodes
/// may share. Source: Linux Documentation/filesystems/ext4/attributes.rst. Reading wants the inode's lock shared, changing
/// exclusive (or an inode that nobody else can reach).
/// </summary>
/// <remarks>
/// A block with more than one user is never changed but for the count of its users, under the block's monitor; nobody adds
/// users here. So a block that has one user is guarded by that inode's lock.
/// </remarks>
internal sealed partial class AttributeContent(
    Geometry geometry, MetadataChecksum checksum, BlockCache cache, BlockAllocator blocks, InodeStore inodes)
{
    private const string Remedy = "check the filesystem with e2fsck";

    /// <summary>Reads an attribute; an empty <paramref name="value"/> asks for the size alone.</summary>
    public FileSystemError Get(Inode inode, ReadOnlySpan<byte> fullName, Span<byte> value, out int byteCount)
    {
        byteCount = 0;
        FileSystemError error = AttributeName.Parse(fullName, out AttributeName name);
        if (error != FileSystemError.None)
        {
            return error;
        }

        if (name.IsAccessControlList && inode.IsSymbolicLink)
        {
            return FileSystemError.NotSupported;
        }

        return IsRefusedUserName(inode, name) ? FileSystemError.NoAttribute : Get(inode, name, value, out byteCount);
    }

    /// <summary>The names, each ended by a zero byte; an empty <paramref name="names"/> asks for the size alone.</summary>
    public FileSystemError List(Inode inode, Span<byte> names, out int byteCount)
    {
        byteCount = 0;
        bool fits = true;
        using (MetadataBlock table = inodes.GetTableBlock(inode.Number, out int byteOffset))
        {
            lock (table)
            {
                fits &= List(ReadBody(inode, table, byteOffset), names, ref byteCount);
            }
        }

        if (inode.AttributeBlock != 0)
        {
            using MetadataBlock block = GetBlock(inode);
            lock (block)
            {
                fits &= List(AttributeArea.OfBlock(block.Bytes), names, ref byteCount);
            }
        }

        if (!fits)
        {
            byteCount = 0;
            return FileSystemError.RangeTooSmall;
        }

        return FileSystemError.None;
    }

    private FileSystemError Get(Inode inode, in AttributeName name, Span<byte> value, out int byteCount)
    {
        using (MetadataBlock table = inodes.GetTableBlock(inode.Number, out int byteOffset))
        {
            lock (table)
            {
                if (ReadBody(inode, table, byteOffset).TryFind(name.Index, name.Suffix, out ReadOnlySpan<byte> stored))
                {
                    return Deliver(inode, name, stored, value, out byteCount);
                }
            }
        }

        if (inode.AttributeBlock != 0)
        {
            using MetadataBlock block = GetBlock(inode);
            lock (block)
            {
                if (AttributeArea.OfBlock(block.Bytes).TryFind(name.Index, name.Suffix, out ReadOnlySpan<byte> stored))
                {
                    return Deliver(inode, name, stored, value, out byteCount);
                }
            }
        }

        byteCount = 0;
        return FileSystemError.NoAttribute;
    }

    private static FileSystemError Deliver(
        Inode inode, in AttributeName name, ReadOnlySpan<byte> stored, Span<byte> value, out int byteCount)
    {
        byteCount = name.IsAccessControlList ? AccessControlForm.MeasureDisk(stored) : stored.Length;
        if (byteCount < 0)
        {
            throw BadList(inode);
        }

        if (value.IsEmpty)
        {
            return FileSystemError.None;
        }

        if (byteCount > value.Length)
        {
            byteCount = 0;
            return FileSystemError.RangeTooSmall;
        }

        if (name.IsAccessControlList)
        {
            AccessControlForm.DiskToInterface(stored, value);
        }
        else
        {
            stored.CopyTo(value);
        }

        return FileSystemError.None;
    }

    private static bool List(AttributeArea area, Span<byte> names, ref int byteCount)
    {
        bool fits = true;
        int position = area.First;
        while (area.TryRead(ref position, out AttributeEntry entry))
        {
            if (!AttributeName.IsShown(entry.Index, entry.Name))
            {
                continue;
            }

            ReadOnlySpan<byte> prefix = AttributeName.PrefixOf(entry.Index);
            int start = byteCount;
            byteCount += prefix.Length + entry.Name.Length + 1;
            if (names.IsEmpty)
            {
                continue;
            }

            if (byteCount > names.Length)
            {
                fits = false;
                continue;
            }

            prefix.CopyTo(names[start..]);
            entry.Name.CopyTo(names[(start + prefix.Length)..]);
            names[byteCount - 1] = 0;
        }

        return fits;
    }

    /// <summary>user.* says something about contents: only files and directories have any (xattr(7)).</summary>
    private static bool IsRefusedUserName(Inode inode, in AttributeName name) =>
        name.Index == AttributeName.UserIndex && !inode.IsRegular && !inode.IsDirectory;

    /// <summary>The attributes behind the inode's fields, checked; under the table block's monitor.</summary>
    private AttributeArea ReadBody(Inode inode, MetadataBlock table, int byteOffset)
    {
        AttributeArea area = AttributeArea.OfBody(BodySpace(table, byteOffset));
        return area.FindDefect() is { } defect
            ? throw Bad(inode, ((long)table.Number << geometry.BlockBits) + byteOffset, defect)
            : area;
    }

    /// <summary>Where attributes may lie in an inode. Without an extra size the field itself would lie there: no room.</summary>
    private Span<byte> BodySpace(MetadataBlock table, int byteOffset)
    {
        var raw = new InodeOnDisk(table.Bytes.Slice(byteOffset, geometry.InodeByteSize));
        return raw.ExtraSize == 0 ? [] : raw.AttributeSpace;
    }

    /// <summary>The inode's block of attributes, pinned and checked.</summary>
    private MetadataBlock GetBlock(Inode inode)
    {
        MetadataBlock block = cache.Get(inode.AttributeBlock);
        try
        {
            lock (block)
            {
                if (block.VerifiedAs != BlockKind.Attributes)
                {
                    Check(inode, block);
                    block.VerifiedAs = BlockKind.Attributes;
                }
            }

            return block;
        }
        catch
        {
            block.Dispose();
            throw;
        }
    }

    private void Check(Inode inode, MetadataBlock block)
    {
        ReadOnlySpan<byte> bytes = block.Bytes;
        string? defect = block.VerifiedAs != BlockKind.None ? "the block of attributes belongs to another structure"
            : bytes.U32(0) != AttributeFormat.Magic ? "the block of attributes has no magic number"
            : bytes.U32(AttributeFormat.BlockCountOffset) != 1 ? "the block of attributes says that it is not one block"
            : bytes.U32(AttributeFormat.ReferenceCountOffset) == 0 ? "the block of attributes has no users"
            : checksum.IsEnabled && bytes.U32(AttributeFormat.ChecksumOffset) != checksum.AttributeBlock(block.Number, bytes)
                ? "the checksum of the block of attributes does not match"
            : AttributeArea.OfBlock(bytes).FindDefect();
        if (defect is not null)
        {
            throw Bad(inode, (long)block.Number << geometry.BlockBits, defect);
        }
    }

    private static VDiskException Bad(Inode inode, long byteOffset, string defect) =>
        VDiskException.Damaged($"ext4 attributes of inode {inode.Number}", byteOffset, defect, Remedy);

    private static VDiskException BadList(Inode inode) =>
        Bad(inode, 0, "an access control list is not valid");
}
