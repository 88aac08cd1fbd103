using VDiskCrypt.Core;
using VDiskCrypt.Interop.Linux.Fuse;
using static VDiskCrypt.Interop.Linux.Fuse.FuseStructs;

namespace VDiskCrypt.Fuse;

/// <summary>Extended attributes, access control lists among them: the kernel checks these, the filesystem keeps them.</summary>
internal sealed partial class FuseOperations
{
    /// <summary>XATTR_NAME_MAX of linux/limits.h.</summary>
    private const int MaximumAttributeNameByteCount = 255;

    public static unsafe void GetExtendedAttribute(FuseOperations self, FuseRequest request, RequestCounters counters)
    {
        int capacity = (int)Math.Min(request.ArgumentAs<fuse_getxattr_in>().size, (uint)request.ReplyCapacity);
        if (!request.TryTakeName(out ReadOnlySpan<byte> name) || name.Length > MaximumAttributeNameByteCount)
        {
            request.Fail(FuseErrno.EINVAL);
            return;
        }

        // The value is written where the name may lie.
        Span<byte> copy = stackalloc byte[MaximumAttributeNameByteCount];
        name.CopyTo(copy);
        FileSystemError error = self._fileSystem.GetExtendedAttribute(
            Inode(self, request), copy[..name.Length], new Span<byte>(request.Reply, capacity), out int byteCount);
        ReplyValue(request, error, capacity, byteCount);
    }

    public static unsafe void ListExtendedAttributes(FuseOperations self, FuseRequest request, RequestCounters counters)
    {
        int capacity = (int)Math.Min(request.ArgumentAs<fuse_getxattr_in>().size, (uint)request.ReplyCapacity);
        FileSystemError error = self._fileSystem.ListExtendedAttributes(
            Inode(self, request), new Span<byte>(request.Reply, capacity), out int byteCount);
        ReplyValue(request, error, capacity, byteCount);
    }

    public static void SetExtendedAttribute(FuseOperations self, FuseRequest request, RequestCounters counters)
    {
        ref readonly fuse_setxattr_in argument = ref request.ArgumentAs<fuse_setxattr_in>();
        uint valueByteCount = argument.size;
        uint mode = argument.flags;
        uint extendedFlags = self._hasExtendedSetXattr ? argument.setxattr_flags : 0;
        if (!request.TryTakeName(out ReadOnlySpan<byte> name)
            || valueByteCount > request.Payload.Length
            || mode > (uint)SetAttributeMode.Replace)
        {
            request.Fail(FuseErrno.EINVAL);
            return;
        }

        ulong inode = Inode(self, request);
        FileSystemError error = self._fileSystem.SetExtendedAttribute(
            inode, name, request.Payload[..(int)valueByteCount], (SetAttributeMode)mode);
        if (error == FileSystemError.None && (extendedFlags & FuseConstants.FUSE_SETXATTR_ACL_KILL_SGID) != 0)
        {
            error = self.ClearSetGroupId(inode);
        }

        request.Complete(error);
    }

    public static void RemoveExtendedAttribute(FuseOperations self, FuseRequest request, RequestCounters counters)
    {
        if (request.TryTakeName(out ReadOnlySpan<byte> name))
        {
            request.Complete(self._fileSystem.RemoveExtendedAttribute(Inode(self, request), name));
        }
        else
        {
            request.Fail(FuseErrno.EINVAL);
        }
    }

    private static void ReplyValue(FuseRequest request, FileSystemError error, int capacity, int byteCount)
    {
        if (error != FileSystemError.None)
        {
            request.Complete(error);
        }
        else if (capacity == 0)
        {
            request.SucceedWith<fuse_getxattr_out>().size = (uint)byteCount;
        }
        else
        {
            request.Succeed(byteCount);
        }
    }

    /// <summary>One who is not in the file's group sets its access control list: the set-group-id bit goes (as chmod has it).</summary>
    private FileSystemError ClearSetGroupId(ulong inode)
    {
        FileSystemError error = _fileSystem.GetAttributes(inode, out InodeAttributes attributes);
        if (error != FileSystemError.None || (attributes.Mode & UnixMode.SetGroupId) == 0)
        {
            return error;
        }

        var change = new AttributeChange
        {
            Fields = AttributeFields.Mode,
            Mode = attributes.Mode & UnixMode.PermissionMask & ~UnixMode.SetGroupId,
        };
        return _fileSystem.SetAttributes(inode, change, out _);
    }
}
