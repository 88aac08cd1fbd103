using System.Runtime.InteropServices;
using VDiskCrypt.Interop.Linux;

namespace VDiskCrypt.Core;

/// <summary>Turns what the host's operating system reports into a <see cref="VDiskException"/>.</summary>
public static class HostError
{
    private const int ErrorSharingViolation = unchecked((int)0x80070020);
    private const int ErrorLockViolation = unchecked((int)0x80070021);
    private const int ErrorHandleDiskFull = unchecked((int)0x80070027);
    private const int ErrorFileExists = unchecked((int)0x80070050);
    private const int ErrorDiskFull = unchecked((int)0x80070070);

    /// <param name="errno">A value of errno(3).</param>
    /// <param name="action">A verb phrase: "write", "open".</param>
    /// <param name="name">The file.</param>
    /// <param name="byteOffset">Where in the file, if anywhere.</param>
    public static VDiskException FromErrno(int errno, string action, string name, long? byteOffset = null)
    {
        (FailureKind kind, string? remedy) = errno switch
        {
            Errno.ENOENT or Errno.ENOTDIR => (FailureKind.NotFound, "check the path"),
            Errno.EACCES or Errno.EPERM => (FailureKind.NotPermitted, "check the owner and the permissions of the file"),
            Errno.EROFS => (FailureKind.ReadOnly, "the filesystem that holds it is mounted read-only"),
            Errno.ENOSPC or Errno.EDQUOT => (FailureKind.NoSpace, "free space on the host's filesystem"),
            Errno.EFBIG => (FailureKind.NoSpace, "the host's filesystem takes no file of that size"),
            Errno.EBUSY or Errno.ETXTBSY or Errno.EAGAIN => (FailureKind.InUse, "end the process that uses it"),
            Errno.EEXIST => (FailureKind.Usage, "choose another name, or remove the existing file first"),
            Errno.EISDIR or Errno.ENAMETOOLONG or Errno.ELOOP => (FailureKind.Usage, "name an image file"),
            Errno.EIO => (FailureKind.InputOutput, "check the host's disk (kernel log, SMART)"),
            _ => (FailureKind.InputOutput, (string?)null),
        };
        string where = byteOffset is long offset ? $"{name} at byte {offset}" : name;
        return new VDiskException(kind, $"cannot {action}: {Marshal.GetPInvokeErrorMessage(errno)}", where, remedy);
    }

    /// <summary>The same for an exception of the runtime's own file calls.</summary>
    public static VDiskException FromException(Exception failure, string name)
    {
        FailureKind kind = failure switch
        {
            FileNotFoundException or DirectoryNotFoundException => FailureKind.NotFound,
            UnauthorizedAccessException => FailureKind.NotPermitted,
            _ => failure.HResult switch
            {
                ErrorSharingViolation or ErrorLockViolation => FailureKind.InUse,
                ErrorDiskFull or ErrorHandleDiskFull => FailureKind.NoSpace,
                ErrorFileExists => FailureKind.Usage,
                _ => FailureKind.InputOutput,
            },
        };
        return new VDiskException(kind, failure.Message, name, null, failure);
    }
}
