namespace VDiskCrypt.Fuse;

/// <summary>How a filesystem is mounted and served.</summary>
public sealed class FuseOptions
{
    /// <summary>The kernel refuses every change. Implied where the filesystem itself is read-only.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>Other users may enter. Users other than root need user_allow_other in /etc/fuse.conf.</summary>
    public bool AllowOther { get; init; }

    /// <summary>Device files are inert. Always so for users other than root.</summary>
    public bool NoDevices { get; init; }

    /// <summary>Set-user-id bits are inert. Always so for users other than root.</summary>
    public bool NoSetUserId { get; init; }

    /// <summary>No program may be executed from the mount.</summary>
    public bool NoExecute { get; init; }

    /// <summary>Mount over a directory that has entries, which hides them.</summary>
    public bool AllowNonEmptyMountPoint { get; init; }

    /// <summary>What /proc/mounts shows as the source, usually the path of the image.</summary>
    public string SourceName { get; init; } = "vdiskcrypt";

    /// <summary>
    /// The kernel collects writes in its page cache and sends them later and larger. Off, each write reaches the
    /// filesystem before it returns, in the order of the calls: for logs whose order of appends matters.
    /// </summary>
    public bool WritebackCache { get; init; } = true;

    /// <summary>Serve through io_uring where the kernel offers it (6.14, and switched on by root).</summary>
    public bool UseIoUring { get; init; } = true;

    /// <summary>Threads that serve requests; 0 is one per processor, at least two.</summary>
    public int WorkerCount { get; init; }

    /// <summary>To how many threads the workers may grow while requests wait for slow I/O.</summary>
    public int MaximumWorkerCount { get; init; } = 64;

    /// <summary>The largest READ and WRITE in bytes; the kernel's own limit (fs.fuse.max_pages_limit) holds as well.</summary>
    public int MaximumRequestByteCount { get; init; } = 1 << 20;

    /// <summary>How far the kernel reads ahead, in bytes. More than 128 KiB takes effect only for root, who may set it in sysfs.</summary>
    public int ReadAheadByteCount { get; init; } = 1 << 20;

    /// <summary>Takes one line for each failure that an application saw only as an errno; called from worker threads.</summary>
    public Action<string>? FailureLog { get; init; }
}
