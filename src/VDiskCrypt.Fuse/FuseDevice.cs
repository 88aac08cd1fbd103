using System.Runtime.InteropServices;
using VDiskCrypt.Core;
using VDiskCrypt.Interop.Linux;
using VDiskCrypt.Interop.Linux.Fuse;
using static VDiskCrypt.Interop.Linux.Fuse.FuseStructs;

namespace VDiskCrypt.Fuse;

/// <summary>
/// A descriptor of /dev/fuse. A clone is a second descriptor on the same connection with a list of requests in
/// progress of its own, so that workers do not meet on one lock; a reply goes to the descriptor its request came from.
/// </summary>
internal sealed unsafe class FuseDevice(int fd) : IDisposable
{
    public const string Path = "/dev/fuse";

    private int _fd = fd;
    private long _notifyCount;

    public int Descriptor => _fd;

    public static FuseDevice Open()
    {
        int fd = Libc.open_device(Path, DeviceOpenFlags.O_RDWR | DeviceOpenFlags.O_CLOEXEC);
        if (fd >= 0)
        {
            return new FuseDevice(fd);
        }

        int errno = Marshal.GetLastPInvokeError();
        throw errno is FuseErrno.EACCES or FuseErrno.EPERM
            ? new VDiskException(
                FailureKind.NotPermitted, "this user may not open the FUSE device", Path,
                "udev gives it mode 0666: as root, chmod 666 /dev/fuse; in a container, pass the device and its cgroup permission")
            : new VDiskException(
                FailureKind.Unsupported, $"the FUSE device cannot be opened: {Marshal.GetPInvokeErrorMessage(errno)}", Path,
                "load the kernel module (modprobe fuse); in a container, pass --device /dev/fuse");
    }

    /// <summary>A clone, or null where the device may not be opened again (then the original serves).</summary>
    public FuseDevice? TryClone()
    {
        int clone = Libc.open_device(Path, DeviceOpenFlags.O_RDWR | DeviceOpenFlags.O_CLOEXEC);
        if (clone < 0)
        {
            return null;
        }

        uint original = (uint)_fd;
        if (Libc.ioctl_device(clone, FuseConstants.FUSE_DEV_IOC_CLONE, &original) != 0)
        {
            _ = Libc.close(clone);
            return null;
        }

        return new FuseDevice(clone);
    }

    /// <summary>
    /// Has the kernel drop the attributes (not the contents) that it keeps of a node. Takes no lock that a request may
    /// hold, so that it can be sent while one is being served. A node that the kernel does not know is no failure.
    /// </summary>
    public void InvalidateAttributes(ulong node)
    {
        int byteCount = sizeof(fuse_out_header) + sizeof(fuse_notify_inval_inode_out);
        byte* message = stackalloc byte[byteCount];
        *(fuse_out_header*)message = new fuse_out_header
        {
            len = (uint)byteCount,
            error = FuseConstants.FUSE_NOTIFY_INVAL_INODE,
        };
        *(fuse_notify_inval_inode_out*)(message + sizeof(fuse_out_header)) = new fuse_notify_inval_inode_out
        {
            ino = node,
            off = -1,
        };
        _ = Libc.write(_fd, message, (nuint)byteCount);
    }

    /// <summary>
    /// Has the kernel send a request (NOTIFY_REPLY) to the queue of the processor that this thread runs on. It asks for
    /// no byte of a regular file (the kernel sends it for no other), and nothing comes if the kernel has forgotten that.
    /// </summary>
    public void RequestNotifyReply(ulong node)
    {
        int byteCount = sizeof(fuse_out_header) + sizeof(fuse_notify_retrieve_out);
        byte* message = stackalloc byte[byteCount];
        *(fuse_out_header*)message = new fuse_out_header
        {
            len = (uint)byteCount,
            error = FuseConstants.FUSE_NOTIFY_RETRIEVE,
        };
        *(fuse_notify_retrieve_out*)(message + sizeof(fuse_out_header)) = new fuse_notify_retrieve_out
        {
            // Even, and far from the numbers that the kernel gives its own requests.
            notify_unique = (1UL << 62) + (2 * (ulong)Interlocked.Increment(ref _notifyCount)),
            nodeid = node,
        };
        _ = Libc.write(_fd, message, (nuint)byteCount);
    }

    public void Dispose()
    {
        int fd = Interlocked.Exchange(ref _fd, -1);
        if (fd >= 0)
        {
            _ = Libc.close(fd);
        }
    }
}
