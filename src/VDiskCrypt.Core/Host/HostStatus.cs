using System.Runtime.InteropServices;
using VDiskCrypt.Interop.Linux;

namespace VDiskCrypt.Core;

/// <summary>What the host says of a path: owner, mode, times, and the device it lies on (statx(2)); Linux only.</summary>
public readonly record struct HostStatus(
    uint UserId, uint GroupId, uint Mode, ulong Inode, uint DeviceMajor, uint DeviceMinor, long Size,
    UnixTime AccessTime, UnixTime ModifyTime)
{
    private const int ErrnoAccess = 13;

    /// <summary>The effective user of this process.</summary>
    public static uint CurrentUserId => Libc.geteuid();

    /// <summary>The effective group of this process.</summary>
    public static uint CurrentGroupId => Libc.getegid();

    /// <summary>The status of what <paramref name="path"/> names, or null where nothing is there.</summary>
    /// <exception cref="VDiskException">NotPermitted when a folder on the way may not be searched.</exception>
    public static HostStatus? Of(string path, bool followLinks = true)
    {
        int flags = followLinks ? 0 : Libc.AT_SYMLINK_NOFOLLOW;
        if (Libc.statx(Libc.AT_FDCWD, path, flags, Libc.STATX_BASIC_STATS, out statx_t status) == 0)
        {
            return new HostStatus(status.stx_uid, status.stx_gid, status.stx_mode, status.stx_ino,
                status.stx_dev_major, status.stx_dev_minor, (long)status.stx_size,
                TimeOf(status.stx_atime), TimeOf(status.stx_mtime));
        }

        if (Marshal.GetLastPInvokeError() == ErrnoAccess)
        {
            throw new VDiskException(FailureKind.NotPermitted, "permission denied", path, "run as the user who owns it");
        }

        return null;
    }

    /// <summary>
    /// Whether two paths lie on one physical disk, as far as sysfs tells: the same filesystem, or partitions of one disk.
    /// </summary>
    public static bool OnSameDisk(string firstPath, string secondPath)
    {
        HostStatus? first = Of(firstPath);
        HostStatus? second = Of(secondPath);
        return first is not null && second is not null && WholeDisk(first.Value) == WholeDisk(second.Value);
    }

    private static UnixTime TimeOf(statx_timestamp time) => new(time.tv_sec, (int)time.tv_nsec);

    private static string WholeDisk(HostStatus status)
    {
        string device = $"{status.DeviceMajor}:{status.DeviceMinor}";
        var link = new DirectoryInfo($"/sys/dev/block/{device}");
        if (!link.Exists || link.ResolveLinkTarget(returnFinalTarget: true) is not { } target)
        {
            return device;
        }

        // A partition's folder lies inside its disk's folder and holds a file of that name.
        return File.Exists(Path.Combine(target.FullName, "partition"))
            ? Path.GetDirectoryName(target.FullName)!
            : target.FullName;
    }
}
