using System.Runtime.InteropServices;
using VDiskCrypt.Interop.Linux;

namespace VDiskCrypt.Core;

/// <summary>Space: holes, zeros, allocation, and where the data is.</summary>
public sealed unsafe partial class HostFile
{
    private const int ZeroBufferByteSize = 1 << 20;

    public void PunchHole(long byteOffset, long byteCount)
    {
        ThrowIfReadOnly();
        if (byteCount <= 0)
        {
            return;
        }

        if (OperatingSystem.IsWindows())
        {
            TryZeroWindows(byteOffset, byteCount);
            return;
        }

        // The range is worthless to the caller: a host that cannot take it back is no failure.
        TryAllocate(Libc.FALLOC_FL_PUNCH_HOLE | Libc.FALLOC_FL_KEEP_SIZE, byteOffset, byteCount, "give space back");
    }

    public void ZeroRange(long byteOffset, long byteCount)
    {
        ThrowIfReadOnly();
        if (byteCount <= 0)
        {
            return;
        }

        bool isDone = OperatingSystem.IsWindows()
            ? TryZeroWindows(byteOffset, byteCount)
            : TryAllocate(
                Libc.FALLOC_FL_PUNCH_HOLE | Libc.FALLOC_FL_KEEP_SIZE, byteOffset, byteCount, "zero") ||
              TryAllocate(Libc.FALLOC_FL_ZERO_RANGE | Libc.FALLOC_FL_KEEP_SIZE, byteOffset, byteCount, "zero");
        if (isDone)
        {
            return;
        }

        using AlignedBuffer zeros = AlignedBuffer.Rent((int)Math.Min(byteCount, ZeroBufferByteSize));
        zeros.Span.Clear();
        for (long done = 0; done < byteCount; done += zeros.Span.Length)
        {
            Write(byteOffset + done, zeros.Span[..(int)Math.Min(zeros.Span.Length, byteCount - done)]);
        }
    }

    /// <summary>Takes the host's space for the range now, growing the file where needed; false where the host cannot.</summary>
    public bool Allocate(long byteOffset, long byteCount)
    {
        ThrowIfReadOnly();
        return !OperatingSystem.IsWindows() && TryAllocate(0, byteOffset, byteCount, "allocate space");
    }

    /// <summary>
    /// The first byte at or behind <paramref name="byteOffset"/> that holds data (<see cref="SeekTarget.Data"/>) or lies
    /// in a hole; the end of the file counts as a hole. -1 where there is none. A host that does not know takes all
    /// for data.
    /// </summary>
    public long Seek(long byteOffset, SeekTarget target)
    {
        long byteLength = ByteLength;
        if (byteOffset >= byteLength)
        {
            return -1;
        }

        if (OperatingSystem.IsWindows() || IsBlockDevice)
        {
            return target == SeekTarget.Data ? byteOffset : byteLength;
        }

        long found = Libc.lseek(_handle, byteOffset, target == SeekTarget.Data ? Libc.SEEK_DATA : Libc.SEEK_HOLE);
        if (found >= 0)
        {
            return found;
        }

        int errno = Marshal.GetLastPInvokeError();
        return errno switch
        {
            Errno.ENXIO => -1,
            Errno.EINVAL or Errno.EOPNOTSUPP => target == SeekTarget.Data ? byteOffset : byteLength,
            _ => throw HostError.FromErrno(errno, "look for data", Name, byteOffset),
        };
    }

    private bool TryAllocate(int mode, long byteOffset, long byteCount, string action)
    {
        while (Libc.fallocate(_handle, mode, byteOffset, byteCount) != 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            if (errno is Errno.EOPNOTSUPP or Errno.ENOSYS or Errno.EINVAL or Errno.EPERM)
            {
                return false;
            }

            if (errno != Errno.EINTR)
            {
                throw HostError.FromErrno(errno, action, Name, byteOffset);
            }
        }

        return true;
    }
}
