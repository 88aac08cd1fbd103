using System.Runtime.InteropServices;
using VDiskCrypt.Interop.Linux;

namespace VDiskCrypt.Core;

/// <summary>
/// The lock that cryptsetup takes around reading or writing a LUKS2 header in a file: flock(2), exclusive, on the file
/// itself (docs/LUKS2-locking.txt). Held for the header I/O only: as long as it is held, luksDump elsewhere waits.
/// </summary>
public sealed class HeaderFlock : IDisposable
{
    private const int RetryMs = 20;

    private readonly HostFile _file;
    private readonly bool _isHeld;

    private HeaderFlock(HostFile file, bool isHeld)
    {
        _file = file;
        _isHeld = isHeld;
    }

    /// <summary>Waits up to <paramref name="timeoutMs"/> for whoever has it. Nothing to do on Windows and for block devices.</summary>
    /// <exception cref="VDiskException">InUse after that time.</exception>
    public static HeaderFlock Acquire(HostFile file, int timeoutMs = 10_000)
    {
        if (OperatingSystem.IsWindows() || file.IsBlockDevice)
        {
            return new HeaderFlock(file, isHeld: false);
        }

        long deadline = Environment.TickCount64 + timeoutMs;
        while (Libc.flock(file.Handle, Libc.LOCK_EX | Libc.LOCK_NB) != 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            if (errno == Errno.EINTR)
            {
                continue;
            }

            if (errno != Errno.EAGAIN)
            {
                throw HostError.FromErrno(errno, "lock the header", file.Name);
            }

            if (Environment.TickCount64 >= deadline)
            {
                throw new VDiskException(
                    FailureKind.InUse, "another process (cryptsetup?) holds the lock of the LUKS2 header", file.Name,
                    "wait until it is done and try again");
            }

            Thread.Sleep(RetryMs);
        }

        return new HeaderFlock(file, isHeld: true);
    }

    public void Dispose()
    {
        if (_isHeld && !_file.Handle.IsClosed)
        {
            _ = Libc.flock(_file.Handle, Libc.LOCK_UN);
        }
    }
}
