using VDiskCrypt.Core;
using VDiskCrypt.Interop.Linux.Fuse;
using static VDiskCrypt.Interop.Linux.Fuse.FuseStructs;

namespace VDiskCrypt.Fuse;

/// <summary>Contents of files, directories and symbolic links, and their durability.</summary>
internal sealed partial class FuseOperations
{
    public static unsafe void Read(FuseOperations self, FuseRequest request, RequestCounters counters)
    {
        fuse_read_in argument = request.ArgumentAs<fuse_read_in>();
        if (argument.size > request.ReplyCapacity || argument.offset > (ulong)(long.MaxValue - argument.size))
        {
            request.Fail(FuseErrno.EINVAL);
            return;
        }

        FileSystemError error = self._fileSystem.Read(
            Inode(self, request), (long)argument.offset, new Span<byte>(request.Reply, (int)argument.size), out int byteCount);
        if (error != FileSystemError.None)
        {
            request.Complete(error);
            return;
        }

        counters.CountRead((int)argument.size, byteCount);
        request.Succeed(byteCount);
    }

    public static void Write(FuseOperations self, FuseRequest request, RequestCounters counters)
    {
        fuse_write_in argument = request.ArgumentAs<fuse_write_in>();
        if (argument.size > request.Payload.Length || argument.offset > (ulong)(long.MaxValue - argument.size))
        {
            request.Fail(FuseErrno.EINVAL);
            return;
        }

        ulong inode = Inode(self, request);
        if ((argument.write_flags & FuseConstants.FUSE_WRITE_KILL_SUIDGID) != 0)
        {
            // Before the data: a failure in between must not leave new contents with the old privileges.
            FileSystemError killed = self.DropPrivileges(request, inode);
            if (killed != FileSystemError.None)
            {
                request.Complete(killed);
                return;
            }
        }

        FileSystemError error = self._fileSystem.Write(
            inode, (long)argument.offset, request.Payload[..(int)argument.size], out int byteCount);

        // A short write is a success to an application that sees it. Nobody sees the count of a write out of the page
        // cache, so there the whole of it fails, which fsync and close then report.
        bool fromCache = (argument.write_flags & FuseConstants.FUSE_WRITE_CACHE) != 0;
        if (error != FileSystemError.None && (byteCount <= 0 || fromCache))
        {
            request.Complete(error);
            return;
        }

        if (byteCount < (int)argument.size && fromCache)
        {
            request.Fail(FuseErrno.ENOSPC);
            return;
        }

        counters.CountWrite((int)argument.size, byteCount);
        request.SucceedWith<fuse_write_out>().size = (uint)byteCount;
    }

    public static void Allocate(FuseOperations self, FuseRequest request, RequestCounters counters)
    {
        const uint KnownFlags = (uint)(AllocateFlags.KeepSize | AllocateFlags.PunchHole | AllocateFlags.ZeroRange);
        fuse_fallocate_in argument = request.ArgumentAs<fuse_fallocate_in>();
        if ((argument.mode & ~KnownFlags) != 0)
        {
            request.Fail(FuseErrno.EOPNOTSUPP);
            return;
        }

        if (argument.offset > long.MaxValue || argument.length > long.MaxValue - argument.offset)
        {
            request.Fail(FuseErrno.EFBIG);
            return;
        }

        // NOTE: the protocol has no flag here that asks for it, though the kernel's own filesystems do it: root is the
        // nearest there is to the missing CAP_FSETID.
        ulong inode = Inode(self, request);
        FileSystemError error = request.Header.uid != 0 ? self.DropPrivileges(request, inode) : FileSystemError.None;
        request.Complete(error != FileSystemError.None ? error : self._fileSystem.Allocate(
            inode, (AllocateFlags)argument.mode, (long)argument.offset, (long)argument.length));
    }

    public static void Seek(FuseOperations self, FuseRequest request, RequestCounters counters)
    {
        if (self._writebackCache)
        {
            // The kernel does not write its dirty pages before it asks, so holes would be reported where data wait, and
            // a copy would lose them. After ENOSYS it takes every file as data from start to end.
            request.Fail(FuseErrno.ENOSYS);
            return;
        }

        fuse_lseek_in argument = request.ArgumentAs<fuse_lseek_in>();
        if (argument.whence is not (FuseConstants.SEEK_DATA or FuseConstants.SEEK_HOLE))
        {
            request.Fail(FuseErrno.EINVAL);
            return;
        }

        if (argument.offset > long.MaxValue)
        {
            request.Fail(FuseErrno.ENXIO);
            return;
        }

        SeekTarget target = argument.whence == FuseConstants.SEEK_DATA ? SeekTarget.Data : SeekTarget.Hole;
        FileSystemError error = self._fileSystem.Seek(
            Inode(self, request), (long)argument.offset, target, out long found);
        if (error != FileSystemError.None)
        {
            request.Complete(error);
            return;
        }

        request.SucceedWith<fuse_lseek_out>().offset = (ulong)found;
    }

    public static void Sync(FuseOperations self, FuseRequest request, RequestCounters counters)
    {
        bool dataOnly = (request.ArgumentAs<fuse_fsync_in>().fsync_flags & FuseConstants.FUSE_FSYNC_FDATASYNC) != 0;
        request.Complete(self._fileSystem.Sync(Inode(self, request), dataOnly));
    }

    public static void SyncAll(FuseOperations self, FuseRequest request, RequestCounters counters) =>
        request.Complete(self._fileSystem.SyncAll());

    public static unsafe void ReadLink(FuseOperations self, FuseRequest request, RequestCounters counters)
    {
        // The kernel gives the reply one page, of which it needs a byte for the terminator.
        var target = new Span<byte>(request.Reply, Math.Min(request.ReplyCapacity, Environment.SystemPageSize - 1));
        FileSystemError error = self._fileSystem.ReadLink(Inode(self, request), target, out int byteCount);
        if (error != FileSystemError.None)
        {
            request.Fail(error == FileSystemError.RangeTooSmall ? FuseErrno.ENAMETOOLONG : ErrnoTable.Of(error));
            return;
        }

        request.Succeed(byteCount);
    }

    public static void ReadDirectory(FuseOperations self, FuseRequest request, RequestCounters counters) =>
        self.ReadDirectory(request, withAttributes: false);

    public static void ReadDirectoryWithAttributes(FuseOperations self, FuseRequest request, RequestCounters counters) =>
        self.ReadDirectory(request, withAttributes: true);

    private unsafe void ReadDirectory(FuseRequest request, bool withAttributes)
    {
        fuse_read_in argument = request.ArgumentAs<fuse_read_in>();
        int capacity = (int)Math.Min(argument.size, (uint)request.ReplyCapacity);
        DirectoryReply reply = request.Directory;
        reply.Start(request.Reply, capacity, withAttributes ? this : null);
        FileSystemError error;
        try
        {
            error = _fileSystem.ReadDirectory(Inode(this, request), argument.offset, withAttributes, reply);
        }
        catch
        {
            UndoReferences(request);
            throw;
        }

        if (error != FileSystemError.None)
        {
            UndoReferences(request);
            request.Complete(error);
            return;
        }

        request.Succeed(reply.ByteCount);
    }
}
