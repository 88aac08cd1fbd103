using System.Runtime.InteropServices;
using VDiskCrypt.Interop.Linux;

namespace VDiskCrypt.Core;

/// <summary>Access and modification times of host files, to the nanosecond where the system keeps them (.NET knows 100 ns).</summary>
public static class HostTimes
{
    /// <summary>The times of what <paramref name="path"/> names; of a symbolic link, the link's own.</summary>
    public static (UnixTime Access, UnixTime Modify) Get(string path)
    {
        if (OperatingSystem.IsLinux() && HostStatus.Of(path, followLinks: false) is { } status)
        {
            return (status.AccessTime, status.ModifyTime);
        }

        return (TimeOf(File.GetLastAccessTimeUtc(path)), TimeOf(File.GetLastWriteTimeUtc(path)));
    }

    /// <summary>Sets both times; of a symbolic link, the link's own.</summary>
    /// <exception cref="VDiskException">InputOutput or NotPermitted, with the path.</exception>
    public static unsafe void Set(string path, UnixTime access, UnixTime modify)
    {
        if (!OperatingSystem.IsLinux())
        {
            File.SetLastAccessTimeUtc(path, TimeOf(access));
            File.SetLastWriteTimeUtc(path, TimeOf(modify));
            return;
        }

        timespec_t* times = stackalloc timespec_t[2]
        {
            new timespec_t { tv_sec = access.Seconds, tv_nsec = access.Nanoseconds },
            new timespec_t { tv_sec = modify.Seconds, tv_nsec = modify.Nanoseconds },
        };
        if (Libc.utimensat(Libc.AT_FDCWD, path, times, Libc.AT_SYMLINK_NOFOLLOW) != 0)
        {
            throw HostError.FromErrno(Marshal.GetLastPInvokeError(), "set the times", path);
        }
    }

    private static UnixTime TimeOf(DateTime utc)
    {
        long ticks = utc.Ticks - DateTime.UnixEpoch.Ticks;
        long seconds = Math.DivRem(ticks, TimeSpan.TicksPerSecond, out long rest);
        return rest < 0
            ? new UnixTime(seconds - 1, (int)(rest + TimeSpan.TicksPerSecond) * 100)
            : new UnixTime(seconds, (int)rest * 100);
    }

    private static DateTime TimeOf(UnixTime time) =>
        DateTime.UnixEpoch.AddTicks((time.Seconds * TimeSpan.TicksPerSecond) + (time.Nanoseconds / 100));
}
