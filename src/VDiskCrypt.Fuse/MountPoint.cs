using System.Runtime.InteropServices;
using VDiskCrypt.Core;
using VDiskCrypt.Interop.Linux;
using VDiskCrypt.Interop.Linux.Fuse;

namespace VDiskCrypt.Fuse;

/// <summary>Checks a mount point and clears what a dead server left on it.</summary>
internal static class MountPoint
{
    /// <summary>Stacked stale mounts that are cleared at most.</summary>
    private const int MaximumStaleMounts = 16;

    /// <summary>The absolute path without symbolic links. Asks nothing of a filesystem that is mounted there.</summary>
    public static string Resolve(string path)
    {
        // O_PATH neither opens nor stats: it works on a mount point whose server is dead or hangs.
        int fd = Libc.open_device(path, DeviceOpenFlags.O_PATH | DeviceOpenFlags.O_CLOEXEC);
        if (fd < 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            throw errno == FuseErrno.ENOENT
                ? new VDiskException(FailureKind.NotFound, "the mount point does not exist", path, "create the directory")
                : new VDiskException(
                    errno == FuseErrno.EACCES ? FailureKind.NotPermitted : FailureKind.Usage,
                    $"the mount point cannot be used: {Marshal.GetPInvokeErrorMessage(errno)}", path);
        }

        try
        {
            return File.ResolveLinkTarget($"/proc/self/fd/{fd}", returnFinalTarget: false)?.FullName
                ?? throw new VDiskException(FailureKind.InputOutput, "the mount point's path cannot be resolved", path, "mount /proc");
        }
        finally
        {
            _ = Libc.close(fd);
        }
    }

    /// <summary>Makes sure that the path can be mounted on, and returns it resolved.</summary>
    public static string Prepare(string path, bool allowEntries)
    {
        string resolved = Resolve(path);
        ClearStale(resolved);
        if (!Directory.Exists(resolved))
        {
            throw new VDiskException(FailureKind.Usage, "the mount point is not a directory", resolved, "name a directory");
        }

        if (!allowEntries && HasEntries(resolved))
        {
            throw new VDiskException(
                FailureKind.Usage, "the mount point is not empty: a mount would hide what it holds", resolved,
                "name an empty directory");
        }

        return resolved;
    }

    private static void ClearStale(string path)
    {
        for (int i = 0; i < MaximumStaleMounts; i++)
        {
            MountTableEntry? entry = MountTable.Find(path);
            if (entry is null || !FuseMounts.IsOurs(entry))
            {
                return;
            }

            if (!FuseMounts.IsStale(path))
            {
                throw new VDiskException(
                    FailureKind.InUse, $"a volume is mounted there already: {entry.Source}", path,
                    "unmount it first, or name another directory");
            }

            FuseMounts.Detach(path, lazy: true);
        }
    }

    private static bool HasEntries(string path)
    {
        try
        {
            return Directory.EnumerateFileSystemEntries(path).Any();
        }
        catch (UnauthorizedAccessException)
        {
            throw new VDiskException(
                FailureKind.NotPermitted, "this user may not read the mount point", path, "name a directory of your own");
        }
    }
}
