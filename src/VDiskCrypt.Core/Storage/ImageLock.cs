using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using VDiskCrypt.Interop.Linux;

namespace VDiskCrypt.Core;

/// <summary>
/// Keeps other processes, QEMU among them, from an image while it is open: open-file-description locks on the bytes that
/// QEMU's file driver uses (docs/system/images, "image locking"; block/file-posix.c). A reader keeps writers out, a
/// writer keeps everybody out. Dispose gives it up; so does the end of the process.
/// </summary>
/// <remarks>
/// Byte 100 + n is read-locked by whoever uses permission n, byte 200 + n by whoever does not share it with others; n is
/// 0 consistent read, 1 write, 2 write unchanged, 3 resize. One takes one's own bytes first and then looks for a
/// conflicting one, so of two that come at once at least one sees the other.
/// NOTE: on Windows there is nothing to do: the share mode that <see cref="HostFile"/> opens with is the lock.
/// </remarks>
public sealed unsafe class ImageLock : IDisposable
{
    private const long PermissionBase = 100;
    private const long UnsharedBase = 200;
    private const int PermissionCount = 4;
    private const int LockByteCount = 104;
    private const int Enolck = 37;

    /// <summary>
    /// A holder that cannot be found is waited for, this long. A process that was started while another image was open
    /// holds its copy of the descriptor, and with it the locks, until it executes its program.
    /// </summary>
    private const int PassingHolderMs = 500;

    private const int RetryMs = 10;

    private const int ConsistentRead = 1;
    private const int Write = 2;
    private const int WriteUnchanged = 4;
    private const int Resize = 8;

    private readonly HostFile _file;

    private ImageLock(HostFile file, bool isHeld)
    {
        _file = file;
        IsHeld = isHeld;
    }

    /// <summary>False where the host's filesystem has no locks: nothing keeps another process out.</summary>
    public bool IsHeld { get; }

    /// <summary>No lock at all, for looking at what may be in use: what is read may be changing.</summary>
    public static ImageLock None(HostFile file) => new(file, isHeld: true);

    /// <summary>Locks for reading where the file is open read-only, for writing otherwise.</summary>
    /// <exception cref="VDiskException">InUse, with the holder where it can be found.</exception>
    public static ImageLock Acquire(HostFile file)
    {
        if (OperatingSystem.IsWindows())
        {
            return new ImageLock(file, isHeld: true);
        }

        var waited = Stopwatch.StartNew();
        while (true)
        {
            try
            {
                return AcquireOnce(file);
            }
            catch (VDiskException failure) when (failure.Kind == FailureKind.InUse
                && waited.ElapsedMilliseconds < PassingHolderMs && FindHolder(file) is null)
            {
                Thread.Sleep(RetryMs);
            }
        }
    }

    public void Dispose()
    {
        if (!OperatingSystem.IsWindows() && !_file.Handle.IsClosed)
        {
            var all = Range(Libc.F_UNLCK, PermissionBase, LockByteCount);
            Libc.fcntl_lock(_file.Handle, Libc.F_OFD_SETLK, &all);
        }
    }

    private static ImageLock AcquireOnce(HostFile file)
    {
        int used = file.IsReadOnly ? ConsistentRead : ConsistentRead | Write | WriteUnchanged | Resize;
        int unshared = file.IsReadOnly ? Write | Resize : Write | WriteUnchanged | Resize;
        var imageLock = new ImageLock(file, TrySet(file, used, unshared));
        try
        {
            if (imageLock.IsHeld)
            {
                ThrowIfConflicting(file, used, unshared);
            }

            return imageLock;
        }
        catch
        {
            imageLock.Dispose();
            throw;
        }
    }

    private static bool TrySet(HostFile file, int used, int unshared)
    {
        for (int n = 0; n < PermissionCount; n++)
        {
            if (((used >> n) & 1) != 0 && !TrySetByte(file, PermissionBase + n) ||
                ((unshared >> n) & 1) != 0 && !TrySetByte(file, UnsharedBase + n))
            {
                return false;
            }
        }

        return true;
    }

    private static bool TrySetByte(HostFile file, long lockByte)
    {
        Libc.flock64 description = Range(Libc.F_RDLCK, lockByte, 1);
        while (Libc.fcntl_lock(file.Handle, Libc.F_OFD_SETLK, &description) != 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            switch (errno)
            {
                case Errno.EINTR:
                    continue;
                case Enolck or Errno.EOPNOTSUPP or Errno.ENOSYS:
                    return false;
                case Errno.EAGAIN or Errno.EACCES:
                    throw InUse(file);
                default:
                    throw HostError.FromErrno(errno, "lock the image", file.Name);
            }
        }

        return true;
    }

    private static void ThrowIfConflicting(HostFile file, int used, int unshared)
    {
        for (int n = 0; n < PermissionCount; n++)
        {
            if (((used >> n) & 1) != 0 && IsLockedByAnother(file, UnsharedBase + n) ||
                ((unshared >> n) & 1) != 0 && IsLockedByAnother(file, PermissionBase + n))
            {
                throw InUse(file);
            }
        }
    }

    private static bool IsLockedByAnother(HostFile file, long lockByte)
    {
        Libc.flock64 description = Range(Libc.F_WRLCK, lockByte, 1);
        if (Libc.fcntl_lock(file.Handle, Libc.F_OFD_GETLK, &description) != 0)
        {
            throw HostError.FromErrno(Marshal.GetLastPInvokeError(), "look for locks on the image", file.Name);
        }

        return description.l_type != Libc.F_UNLCK;
    }

    private static Libc.flock64 Range(short type, long byteOffset, long byteCount) =>
        new() { l_type = type, l_start = byteOffset, l_len = byteCount };

    private static VDiskException InUse(HostFile file)
    {
        string holder = FindHolder(file) is int pid
            ? pid == Environment.ProcessId ? "this process itself" : $"process {pid} ({ProcessName(pid)})"
            : "another process";
        return new VDiskException(
            FailureKind.InUse, $"the image is in use by {holder}", file.Name,
            "unmount it or end that process first; for reading only, another reader is allowed");
    }

    /// <summary>
    /// The process with an open file that holds lock bytes of this image. F_OFD_GETLK and /proc/locks give -1 for these
    /// locks; /proc/PID/fdinfo tells, of processes that this user may look at.
    /// </summary>
    private static int? FindHolder(HostFile file)
    {
        (uint major, uint minor, ulong inode) = file.Identity();
        string identity = string.Create(CultureInfo.InvariantCulture, $"{major:x2}:{minor:x2}:{inode} ");
        int? holder = null;
        foreach (string process in EnumerateQuietly("/proc", foldersOnly: true))
        {
            if (!int.TryParse(Path.GetFileName(process.AsSpan()), CultureInfo.InvariantCulture, out int pid) ||
                (holder is not null && pid == Environment.ProcessId))
            {
                continue;
            }

            foreach (string descriptor in EnumerateQuietly(process + "/fdinfo", foldersOnly: false))
            {
                if (HasLock(descriptor, identity))
                {
                    holder = pid;
                    if (pid != Environment.ProcessId)
                    {
                        return holder;
                    }
                }
            }
        }

        // Our own attempt holds some bytes too, so this process counts only where a second open file of it has them.
        return holder == Environment.ProcessId && CountOwn(identity) < 2 ? null : holder;
    }

    private static int CountOwn(string identity) =>
        EnumerateQuietly("/proc/self/fdinfo", foldersOnly: false).Count(descriptor => HasLock(descriptor, identity));

    private static bool HasLock(string descriptorInfo, string identity)
    {
        try
        {
            return File.ReadLines(descriptorInfo).Any(line =>
                line.StartsWith("lock:", StringComparison.Ordinal) && !line.Contains("FLOCK", StringComparison.Ordinal) &&
                line.Contains(identity, StringComparison.Ordinal));
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            // The descriptor was closed meanwhile, or belongs to somebody else.
            return false;
        }
    }

    private static string[] EnumerateQuietly(string folder, bool foldersOnly)
    {
        try
        {
            return foldersOnly ? Directory.GetDirectories(folder) : Directory.GetFiles(folder);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    private static string ProcessName(int pid)
    {
        try
        {
            return File.ReadAllText($"/proc/{pid}/comm").TrimEnd('\n');
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return "unknown";
        }
    }
}
