using VDiskCrypt.Core;
using VDiskCrypt.Interop.Linux.Fuse;
using static VDiskCrypt.Interop.Linux.Fuse.FuseStructs;

namespace VDiskCrypt.Fuse;

/// <summary>Names: looking up, creating, linking, removing, renaming.</summary>
internal sealed partial class FuseOperations
{
    public static void Lookup(FuseOperations self, FuseRequest request, RequestCounters counters)
    {
        if (!request.TryTakeName(out ReadOnlySpan<byte> name))
        {
            request.Fail(FuseErrno.EINVAL);
            return;
        }

        FileSystemError error = self._fileSystem.Lookup(Inode(self, request), name, out InodeAttributes attributes);
        if (error == FileSystemError.NotFound)
        {
            // Node 0 with a time-out is a negative entry: the kernel remembers that the name does not exist.
            request.SucceedWith<fuse_entry_out>().entry_valid = CacheSeconds;
            return;
        }

        self.ReplyEntry(request, error, attributes);
    }

    public static void Forget(FuseOperations self, FuseRequest request, RequestCounters counters)
    {
        request.SucceedSilently();
        self._fileSystem.Forget(Inode(self, request), request.ArgumentAs<fuse_forget_in>().nlookup);
    }

    public static unsafe void BatchForget(FuseOperations self, FuseRequest request, RequestCounters counters)
    {
        request.SucceedSilently();
        ReadOnlySpan<byte> payload = request.Payload;
        long count = Math.Min(request.ArgumentAs<fuse_batch_forget_in>().count, payload.Length / sizeof(fuse_forget_one));
        fixed (byte* start = payload)
        {
            for (fuse_forget_one* one = (fuse_forget_one*)start; count > 0; one++, count--)
            {
                self._fileSystem.Forget(self.ToInode(one->nodeid), one->nlookup);
            }
        }
    }

    public static void CreateNode(FuseOperations self, FuseRequest request, RequestCounters counters)
    {
        fuse_mknod_in argument = request.ArgumentAs<fuse_mknod_in>();
        self.Create(request, argument.mode, argument.umask, argument.rdev);
    }

    public static void CreateDirectory(FuseOperations self, FuseRequest request, RequestCounters counters)
    {
        fuse_mkdir_in argument = request.ArgumentAs<fuse_mkdir_in>();
        uint mode = (argument.mode & UnixMode.PermissionMask) | UnixMode.Directory;
        self.Create(request, mode, argument.umask, deviceNumber: 0);
    }

    public static unsafe void CreateUnnamed(FuseOperations self, FuseRequest request, RequestCounters counters)
    {
        fuse_create_in argument = request.ArgumentAs<fuse_create_in>();
        uint mode = (argument.mode & UnixMode.PermissionMask) | UnixMode.Regular;
        NewInode node = NewNode(request, mode, argument.umask, deviceNumber: 0);
        FileSystemError error = self._fileSystem.CreateUnnamed(Inode(self, request), node, out InodeAttributes attributes);
        self.ReplyEntry(request, error, attributes);
        if (request.Error == 0)
        {
            // A TMPFILE is also an open: its reply ends in an (empty) handle.
            ref fuse_open_out open = ref *(fuse_open_out*)(request.Reply + sizeof(fuse_entry_out));
            open = new fuse_open_out { open_flags = FuseConstants.FOPEN_KEEP_CACHE };
            request.Succeed(sizeof(fuse_entry_out) + sizeof(fuse_open_out));
        }
    }

    public static void CreateSymbolicLink(FuseOperations self, FuseRequest request, RequestCounters counters)
    {
        if (!request.TryTakeName(out ReadOnlySpan<byte> name) || !request.TryTakeName(out ReadOnlySpan<byte> target))
        {
            request.Fail(FuseErrno.EINVAL);
            return;
        }

        NewInode node = NewNode(request, UnixMode.SymbolicLink | 0x1FF, umask: 0, deviceNumber: 0);
        FileSystemError error = self._fileSystem.CreateSymbolicLink(
            Inode(self, request), name, target, node, out InodeAttributes attributes);
        self.ReplyEntry(request, error, attributes);
    }

    public static void Link(FuseOperations self, FuseRequest request, RequestCounters counters)
    {
        if (!request.TryTakeName(out ReadOnlySpan<byte> name))
        {
            request.Fail(FuseErrno.EINVAL);
            return;
        }

        ulong inode = self.ToInode(request.ArgumentAs<fuse_link_in>().oldnodeid);
        FileSystemError error = self._fileSystem.Link(inode, Inode(self, request), name, out InodeAttributes attributes);
        self.ReplyEntry(request, error, attributes);
    }

    public static void Unlink(FuseOperations self, FuseRequest request, RequestCounters counters)
    {
        if (request.TryTakeName(out ReadOnlySpan<byte> name))
        {
            request.Complete(self._fileSystem.Unlink(Inode(self, request), name));
        }
        else
        {
            request.Fail(FuseErrno.EINVAL);
        }
    }

    public static void RemoveDirectory(FuseOperations self, FuseRequest request, RequestCounters counters)
    {
        if (request.TryTakeName(out ReadOnlySpan<byte> name))
        {
            request.Complete(self._fileSystem.RemoveDirectory(Inode(self, request), name));
        }
        else
        {
            request.Fail(FuseErrno.EINVAL);
        }
    }

    public static void Rename(FuseOperations self, FuseRequest request, RequestCounters counters) =>
        self.Rename(request, request.ArgumentAs<fuse_rename_in>().newdir, flags: 0);

    public static void RenameWithFlags(FuseOperations self, FuseRequest request, RequestCounters counters)
    {
        fuse_rename2_in argument = request.ArgumentAs<fuse_rename2_in>();
        self.Rename(request, argument.newdir, argument.flags);
    }

    private void Rename(FuseRequest request, ulong newDirectoryNode, uint flags)
    {
        const uint KnownFlags = (uint)(RenameFlags.NoReplace | RenameFlags.Exchange | RenameFlags.Whiteout);
        if ((flags & ~KnownFlags) != 0
            || !request.TryTakeName(out ReadOnlySpan<byte> name)
            || !request.TryTakeName(out ReadOnlySpan<byte> newName))
        {
            request.Fail(FuseErrno.EINVAL);
            return;
        }

        request.Complete(_fileSystem.Rename(
            Inode(this, request), name, ToInode(newDirectoryNode), newName, (RenameFlags)flags));
    }

    private void Create(FuseRequest request, uint mode, uint umask, uint deviceNumber)
    {
        if (!request.TryTakeName(out ReadOnlySpan<byte> name))
        {
            request.Fail(FuseErrno.EINVAL);
            return;
        }

        NewInode node = NewNode(request, mode, umask, deviceNumber);
        FileSystemError error = _fileSystem.Create(Inode(this, request), name, node, out InodeAttributes attributes);
        ReplyEntry(request, error, attributes);
    }

    /// <summary>Device numbers come as the kernel's new_encode_dev makes them: 12 bits of major inside 20 of minor.</summary>
    private static NewInode NewNode(FuseRequest request, uint mode, uint umask, uint deviceNumber) => new()
    {
        Mode = mode,
        Umask = umask & 0x1FF,
        UserId = request.Header.uid,
        GroupId = request.Header.gid,
        DeviceMajor = (deviceNumber >> 8) & 0xFFF,
        DeviceMinor = (deviceNumber & 0xFF) | ((deviceNumber >> 12) & 0xFFF00),
    };

    private void ReplyEntry(FuseRequest request, FileSystemError error, in InodeAttributes attributes)
    {
        if (error != FileSystemError.None)
        {
            request.Complete(error);
            return;
        }

        request.ReferencedInode = attributes.Inode;
        WriteEntry(ref request.SucceedWith<fuse_entry_out>(), attributes);
    }
}
