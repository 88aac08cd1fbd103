namespace VDiskCrypt.Fuse;

/// <summary>The path on which requests come from the kernel.</summary>
public enum FuseTransport
{
    /// <summary>read(2) and write(2) on /dev/fuse.</summary>
    Device,

    /// <summary>FUSE over io_uring: a queue per processor, one system call per request or fewer.</summary>
    IoUring,
}
