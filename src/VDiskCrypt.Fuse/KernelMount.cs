using System.Globalization;
using System.Runtime.InteropServices;
using VDiskCrypt.Core;
using VDiskCrypt.Interop.Linux;
using VDiskCrypt.Interop.Linux.Fuse;

namespace VDiskCrypt.Fuse;

/// <summary>Makes the mount: mount(2) where this process may, else the set-user-id program fusermount3.</summary>
internal static class KernelMount
{
    /// <summary>Mounts on a resolved path and returns the connection, on which INIT comes next.</summary>
    public static FuseDevice Create(string mountPoint, bool readOnly, uint rootMode, FuseOptions options)
    {
        if (Libc.geteuid() != 0)
        {
            return FusermountProcess.Mount(mountPoint, readOnly, options);
        }

        FuseDevice device = FuseDevice.Open();
        try
        {
            if (TryMount(device, mountPoint, readOnly, rootMode, options))
            {
                return device;
            }
        }
        catch
        {
            device.Dispose();
            throw;
        }

        // Root of a container without the right to mount.
        device.Dispose();
        return FusermountProcess.Mount(mountPoint, readOnly, options);
    }

    private static bool TryMount(
        FuseDevice device, string mountPoint, bool readOnly, uint rootMode, FuseOptions options)
    {
        nuint flags = (readOnly ? Libc.MS_RDONLY : 0)
            | (options.NoSetUserId ? Libc.MS_NOSUID : 0)
            | (options.NoDevices ? Libc.MS_NODEV : 0)
            | (options.NoExecute ? Libc.MS_NOEXEC : 0);
        string rootType = Convert.ToString(rootMode & UnixMode.TypeMask, 8);
        string data = string.Create(
            CultureInfo.InvariantCulture,
            $"fd={device.Descriptor},rootmode={rootType},user_id={Libc.geteuid()},group_id={Libc.getegid()},default_permissions");
        data += options.AllowOther ? ",allow_other" : "";
        if (Libc.mount(options.SourceName, mountPoint, FuseMounts.FileSystemType, flags, data) == 0)
        {
            return true;
        }

        int errno = Marshal.GetLastPInvokeError();
        if (errno == FuseErrno.EPERM)
        {
            return false;
        }

        string reason = Marshal.GetPInvokeErrorMessage(errno);
        throw errno == FuseErrno.ENODEV
            ? new VDiskException(FailureKind.Unsupported, "the kernel has no FUSE", mountPoint, "modprobe fuse")
            : new VDiskException(FailureKind.InputOutput, $"mount failed: {reason}", mountPoint);
    }
}
