namespace VDiskCrypt.Core;

/// <summary>What kind of failure an operation ended with. The command maps each kind to one exit code.</summary>
public enum FailureKind
{
    /// <summary>A defect of this program.</summary>
    Internal,
    /// <summary>The request itself is wrong.</summary>
    Usage,
    /// <summary>A file, device, volume or key does not exist.</summary>
    NotFound,
    /// <summary>No credential that was offered fits.</summary>
    WrongCredential,
    /// <summary>The KEK's store answered and refused: disabled, forbidden, deleted.</summary>
    KekRefused,
    /// <summary>The KEK's store did not answer.</summary>
    KekUnreachable,
    /// <summary>Bytes on disk contradict their specification or their checksum.</summary>
    Damaged,
    /// <summary>A valid structure that uses a feature this program does not handle.</summary>
    Unsupported,
    /// <summary>Another process holds the image or the mount point.</summary>
    InUse,
    /// <summary>The host has no room left.</summary>
    NoSpace,
    /// <summary>The host reported an I/O error.</summary>
    InputOutput,
    /// <summary>The operating system or a policy denies it.</summary>
    NotPermitted,
    /// <summary>The target is read-only.</summary>
    ReadOnly,
    /// <summary>Stopped before the end; the same request resumes it.</summary>
    Interrupted,
}
