namespace VDiskCrypt.Core;

/// <summary>
/// The expected outcomes of a filesystem operation. Each surface maps them once (errno for FUSE, NTSTATUS for Dokan).
/// I/O errors, no space on the host and damage are not here: they are thrown as <see cref="VDiskException"/>.
/// </summary>
public enum FileSystemError
{
    None = 0,
    NotFound,
    AlreadyExists,
    NotDirectory,
    IsDirectory,
    NotEmpty,
    NoSpace,
    QuotaExceeded,
    NotPermitted,
    AccessDenied,
    ReadOnly,
    NameTooLong,
    TooManyLinks,
    FileTooBig,
    InvalidArgument,
    NoAttribute,
    RangeTooSmall,
    NotSupported,
    Busy,
    NoSuchOffset,
    CrossesDevices,
    StaleInode,
    InputOutput,
}
