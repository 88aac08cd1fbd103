using System.Runtime.CompilerServices;
using VDiskCrypt.Interop.Linux.Fuse;
using static VDiskCrypt.Interop.Linux.Fuse.fuse_opcode;
using static VDiskCrypt.Interop.Linux.Fuse.FuseStructs;

namespace VDiskCrypt.Fuse;

/// <summary>Serves one kind of request.</summary>
internal delegate void FuseHandler(FuseOperations operations, FuseRequest request, RequestCounters counters);

/// <summary>One row of the table of operations.</summary>
/// <param name="Handler">What serves it.</param>
/// <param name="ArgumentByteCount">Its first fixed argument in bytes: a request with less is malformed.</param>
internal sealed record FuseOperation(FuseHandler Handler, int ArgumentByteCount)
{
    private static readonly FuseOperation?[] Table = CreateTable();

    /// <summary>The row of an operation, or null for one that is answered with ENOSYS.</summary>
    /// <remarks>
    /// Left to ENOSYS on purpose, after which the kernel no longer asks: OPEN and OPENDIR (inodes need no open call and
    /// may be cached throughout), CREATE (the kernel then sends MKNOD, which has no handle to release), FLUSH, POLL,
    /// ACCESS (default_permissions), COPY_FILE_RANGE (the kernel copies through its cache), INTERRUPT (nothing here
    /// can be interrupted), BMAP and the lock operations (the kernel keeps the locks itself).
    /// </remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FuseOperation? Find(fuse_opcode opcode) =>
        (uint)opcode < (uint)Table.Length ? Table[(uint)opcode] : null;

    private static FuseOperation?[] CreateTable()
    {
        var table = new FuseOperation?[(int)FUSE_COPY_FILE_RANGE_64 + 1];
        void Row(fuse_opcode opcode, FuseHandler handler, int argumentByteCount) =>
            table[(int)opcode] = new FuseOperation(handler, argumentByteCount);

        Row(FUSE_LOOKUP, FuseOperations.Lookup, 0);
        Row(FUSE_FORGET, FuseOperations.Forget, Unsafe.SizeOf<fuse_forget_in>());
        Row(FUSE_BATCH_FORGET, FuseOperations.BatchForget, Unsafe.SizeOf<fuse_batch_forget_in>());
        Row(FUSE_GETATTR, FuseOperations.GetAttributes, Unsafe.SizeOf<fuse_getattr_in>());
        Row(FUSE_STATX, FuseOperations.GetExtendedStatus, Unsafe.SizeOf<fuse_statx_in>());
        Row(FUSE_SETATTR, FuseOperations.SetAttributes, Unsafe.SizeOf<fuse_setattr_in>());
        Row(FUSE_READLINK, FuseOperations.ReadLink, 0);
        Row(FUSE_SYMLINK, FuseOperations.CreateSymbolicLink, 0);
        Row(FUSE_MKNOD, FuseOperations.CreateNode, Unsafe.SizeOf<fuse_mknod_in>());
        Row(FUSE_MKDIR, FuseOperations.CreateDirectory, Unsafe.SizeOf<fuse_mkdir_in>());
        Row(FUSE_TMPFILE, FuseOperations.CreateUnnamed, Unsafe.SizeOf<fuse_create_in>());
        Row(FUSE_LINK, FuseOperations.Link, Unsafe.SizeOf<fuse_link_in>());
        Row(FUSE_UNLINK, FuseOperations.Unlink, 0);
        Row(FUSE_RMDIR, FuseOperations.RemoveDirectory, 0);
        Row(FUSE_RENAME, FuseOperations.Rename, Unsafe.SizeOf<fuse_rename_in>());
        Row(FUSE_RENAME2, FuseOperations.RenameWithFlags, Unsafe.SizeOf<fuse_rename2_in>());
        Row(FUSE_READDIR, FuseOperations.ReadDirectory, Unsafe.SizeOf<fuse_read_in>());
        Row(FUSE_READDIRPLUS, FuseOperations.ReadDirectoryWithAttributes, Unsafe.SizeOf<fuse_read_in>());
        Row(FUSE_READ, FuseOperations.Read, Unsafe.SizeOf<fuse_read_in>());
        Row(FUSE_WRITE, FuseOperations.Write, Unsafe.SizeOf<fuse_write_in>());
        Row(FUSE_FALLOCATE, FuseOperations.Allocate, Unsafe.SizeOf<fuse_fallocate_in>());
        Row(FUSE_LSEEK, FuseOperations.Seek, Unsafe.SizeOf<fuse_lseek_in>());
        Row(FUSE_FSYNC, FuseOperations.Sync, Unsafe.SizeOf<fuse_fsync_in>());
        Row(FUSE_FSYNCDIR, FuseOperations.Sync, Unsafe.SizeOf<fuse_fsync_in>());
        Row(FUSE_SYNCFS, FuseOperations.SyncAll, 0);
        Row(FUSE_STATFS, FuseOperations.GetStatistics, 0);
        Row(FUSE_GETXATTR, FuseOperations.GetExtendedAttribute, Unsafe.SizeOf<fuse_getxattr_in>());
        Row(FUSE_LISTXATTR, FuseOperations.ListExtendedAttributes, Unsafe.SizeOf<fuse_getxattr_in>());
        Row(FUSE_SETXATTR, FuseOperations.SetExtendedAttribute, Unsafe.SizeOf<fuse_setxattr_in>());
        Row(FUSE_REMOVEXATTR, FuseOperations.RemoveExtendedAttribute, 0);
        Row(FUSE_IOCTL, static (_, request, _) => request.Fail(FuseErrno.ENOTTY), 0);
        Row(FUSE_RELEASE, static (_, request, _) => request.Succeed(0), 0);
        Row(FUSE_RELEASEDIR, static (_, request, _) => request.Succeed(0), 0);
        Row(FUSE_NOTIFY_REPLY, static (_, request, _) => request.SucceedSilently(), 0);
        Row(FUSE_DESTROY, FuseOperations.SyncAll, 0);
        return table;
    }
}
