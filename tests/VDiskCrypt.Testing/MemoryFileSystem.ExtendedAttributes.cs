using System.Buffers.Binary;
using System.Text;
using VDiskCrypt.Core;

namespace VDiskCrypt.Testing;

/// <summary>
/// Extended attributes and POSIX access control lists. A list has the kernel's form (linux/posix_acl_xattr.h): a
/// version (2), then entries of tag, permissions (16 bits each) and id (32 bits).
/// </summary>
public sealed partial class MemoryFileSystem
{
    private const string AccessList = "system.posix_acl_access";
    private const string DefaultList = "system.posix_acl_default";
    private const int ListHeadByteCount = 4;
    private const int ListEntryByteCount = 8;
    private const ushort UserObject = 1;
    private const ushort GroupObject = 4;
    private const ushort Mask = 16;
    private const ushort Other = 32;
    private const int MaximumValueByteCount = 65_536;

    public FileSystemError GetExtendedAttribute(ulong inode, ReadOnlySpan<byte> name, Span<byte> value, out int byteCount)
    {
        _lock.EnterReadLock();
        try
        {
            byteCount = 0;
            if (!_inodes.TryGetValue(inode, out MemoryInode? node))
            {
                return FileSystemError.StaleInode;
            }

            if (node.ExtendedAttributes.Count == 0
                || !node.ExtendedAttributes.TryGetValue(Encoding.Latin1.GetString(name), out byte[]? stored))
            {
                return FileSystemError.NoAttribute;
            }

            return CopyOut(stored, value, out byteCount);
        }
        finally
        {
            _lock.ExitReadLock();
        }
    }

    public FileSystemError SetExtendedAttribute(
        ulong inode, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, SetAttributeMode mode)
    {
        _lock.EnterWriteLock();
        try
        {
            FileSystemError error = FindForChange(inode, out MemoryInode node);
            if (error != FileSystemError.None)
            {
                return error;
            }

            string key = Encoding.Latin1.GetString(name);
            bool exists = node.ExtendedAttributes.ContainsKey(key);
            if (value.Length > MaximumValueByteCount)
            {
                return FileSystemError.NoSpace;
            }

            if (mode == SetAttributeMode.Create && exists)
            {
                return FileSystemError.AlreadyExists;
            }

            if (mode == SetAttributeMode.Replace && !exists)
            {
                return FileSystemError.NoAttribute;
            }

            byte[] copy = value.ToArray();
            if (key is AccessList or DefaultList)
            {
                if (!IsList(copy) || (key == DefaultList && node.Directory is null))
                {
                    return FileSystemError.InvalidArgument;
                }

                if (key == AccessList && ApplyAccessListToMode(node, copy))
                {
                    // Nothing in it that the mode does not say: no list is kept.
                    node.ExtendedAttributes.Remove(key);
                    Touch(node, modified: false);
                    return FileSystemError.None;
                }
            }

            node.ExtendedAttributes[key] = copy;
            Touch(node, modified: false);
            return FileSystemError.None;
        }
        finally
        {
            _lock.ExitWriteLock();
        }
    }

    public FileSystemError RemoveExtendedAttribute(ulong inode, ReadOnlySpan<byte> name)
    {
        _lock.EnterWriteLock();
        try
        {
            FileSystemError error = FindForChange(inode, out MemoryInode node);
            if (error != FileSystemError.None)
            {
                return error;
            }

            if (!node.ExtendedAttributes.Remove(Encoding.Latin1.GetString(name)))
            {
                return FileSystemError.NoAttribute;
            }

            Touch(node, modified: false);
            return FileSystemError.None;
        }
        finally
        {
            _lock.ExitWriteLock();
        }
    }

    public FileSystemError ListExtendedAttributes(ulong inode, Span<byte> names, out int byteCount)
    {
        _lock.EnterReadLock();
        try
        {
            byteCount = 0;
            if (!_inodes.TryGetValue(inode, out MemoryInode? node))
            {
                return FileSystemError.StaleInode;
            }

            byte[] list = Encoding.Latin1.GetBytes(string.Concat(node.ExtendedAttributes.Keys.Select(name => name + '\0')));
            return CopyOut(list, names, out byteCount);
        }
        finally
        {
            _lock.ExitReadLock();
        }
    }

    private static FileSystemError CopyOut(byte[] source, Span<byte> destination, out int byteCount)
    {
        byteCount = source.Length;
        if (destination.IsEmpty)
        {
            return FileSystemError.None;
        }

        if (source.Length > destination.Length)
        {
            byteCount = 0;
            return FileSystemError.RangeTooSmall;
        }

        source.CopyTo(destination);
        return FileSystemError.None;
    }

    private static bool IsList(byte[] list) =>
        list.Length >= ListHeadByteCount && (list.Length - ListHeadByteCount) % ListEntryByteCount == 0
        && BinaryPrimitives.ReadUInt32LittleEndian(list) == 2;

    private static int FindEntry(byte[] list, ushort tag)
    {
        for (int at = ListHeadByteCount; at < list.Length; at += ListEntryByteCount)
        {
            if (BinaryPrimitives.ReadUInt16LittleEndian(list.AsSpan(at)) == tag)
            {
                return at;
            }
        }

        return -1;
    }

    private static uint GetPermissions(byte[] list, ushort tag)
    {
        int at = FindEntry(list, tag);
        return at < 0 ? 0 : BinaryPrimitives.ReadUInt16LittleEndian(list.AsSpan(at + 2)) & 7u;
    }

    private static void SetPermissions(byte[] list, ushort tag, uint permissions)
    {
        int at = FindEntry(list, tag);
        if (at >= 0)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(list.AsSpan(at + 2), (ushort)permissions);
        }
    }

    private static ushort GroupClass(byte[] list) => FindEntry(list, Mask) >= 0 ? Mask : GroupObject;

    /// <summary>The permission bits of the mode become those of the list. True when the list holds nothing else.</summary>
    private static bool ApplyAccessListToMode(MemoryInode node, byte[] list)
    {
        uint bits = (GetPermissions(list, UserObject) << 6) | (GetPermissions(list, GroupClass(list)) << 3) | GetPermissions(list, Other);
        node.Mode = (node.Mode & ~0x1FFu) | bits;
        return list.Length == ListHeadByteCount + (3 * ListEntryByteCount);
    }

    private static void ApplyModeToAccessList(MemoryInode node)
    {
        if (node.ExtendedAttributes.TryGetValue(AccessList, out byte[]? list))
        {
            SetPermissions(list, UserObject, (node.Mode >> 6) & 7);
            SetPermissions(list, GroupClass(list), (node.Mode >> 3) & 7);
            SetPermissions(list, Other, node.Mode & 7);
        }
    }

    /// <summary>POSIX 1003.1e draft 17, 23.1.2: a default list of the directory takes the umask's place.</summary>
    private static void InheritAccessList(MemoryInode parent, MemoryInode added, uint umask)
    {
        if (UnixMode.IsSymbolicLink(added.Mode))
        {
            return;
        }

        if (!parent.ExtendedAttributes.TryGetValue(DefaultList, out byte[]? inherited))
        {
            added.Mode &= ~umask;
            return;
        }

        if (added.Directory is not null)
        {
            added.ExtendedAttributes[DefaultList] = [.. inherited];
        }

        byte[] list = [.. inherited];
        ushort group = GroupClass(list);
        SetPermissions(list, UserObject, GetPermissions(list, UserObject) & (added.Mode >> 6));
        SetPermissions(list, group, GetPermissions(list, group) & (added.Mode >> 3));
        SetPermissions(list, Other, GetPermissions(list, Other) & added.Mode);
        if (!ApplyAccessListToMode(added, list))
        {
            added.ExtendedAttributes[AccessList] = list;
        }
    }
}
