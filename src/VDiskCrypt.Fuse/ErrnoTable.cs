using VDiskCrypt.Core;
using VDiskCrypt.Interop.Linux.Fuse;

namespace VDiskCrypt.Fuse;

/// <summary>What each outcome of the filesystem is called on the wire: the one mapping of this surface.</summary>
internal static class ErrnoTable
{
    public static int Of(FileSystemError error) => error switch
    {
        FileSystemError.None => 0,
        FileSystemError.NotFound => FuseErrno.ENOENT,
        FileSystemError.AlreadyExists => FuseErrno.EEXIST,
        FileSystemError.NotDirectory => FuseErrno.ENOTDIR,
        FileSystemError.IsDirectory => FuseErrno.EISDIR,
        FileSystemError.NotEmpty => FuseErrno.ENOTEMPTY,
        FileSystemError.NoSpace => FuseErrno.ENOSPC,
        FileSystemError.QuotaExceeded => FuseErrno.EDQUOT,
        FileSystemError.NotPermitted => FuseErrno.EPERM,
        FileSystemError.AccessDenied => FuseErrno.EACCES,
        FileSystemError.ReadOnly => FuseErrno.EROFS,
        FileSystemError.NameTooLong => FuseErrno.ENAMETOOLONG,
        FileSystemError.TooManyLinks => FuseErrno.EMLINK,
        FileSystemError.FileTooBig => FuseErrno.EFBIG,
        FileSystemError.InvalidArgument => FuseErrno.EINVAL,
        FileSystemError.NoAttribute => FuseErrno.ENODATA,
        FileSystemError.RangeTooSmall => FuseErrno.ERANGE,
        FileSystemError.NotSupported => FuseErrno.EOPNOTSUPP,
        FileSystemError.Busy => FuseErrno.EBUSY,
        FileSystemError.NoSuchOffset => FuseErrno.ENXIO,
        FileSystemError.CrossesDevices => FuseErrno.EXDEV,
        FileSystemError.StaleInode => FuseErrno.ESTALE,
        _ => FuseErrno.EIO,
    };

    public static int Of(FailureKind kind) => kind switch
    {
        FailureKind.NoSpace => FuseErrno.ENOSPC,
        FailureKind.ReadOnly => FuseErrno.EROFS,
        FailureKind.NotPermitted => FuseErrno.EACCES,
        FailureKind.Unsupported => FuseErrno.EOPNOTSUPP,
        FailureKind.InUse => FuseErrno.EBUSY,
        FailureKind.Usage => FuseErrno.EINVAL,
        _ => FuseErrno.EIO,
    };
}
