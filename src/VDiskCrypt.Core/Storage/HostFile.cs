using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using VDiskCrypt.Interop.Linux;

namespace VDiskCrypt.Core;

/// <summary>
/// A regular file or a block device of the host, and the only way to reach one. Every call does all of what it was
/// asked or throws a <see cref="VDiskException"/>. Takes no lock of its own on Linux (see <see cref="ImageLock"/>); on
/// Windows the share mode is the lock: a writer shares with nobody, readers with readers.
/// </summary>
/// <remarks>
/// A flush that failed stays failed: the kernel reports a lost write once and then takes the pages for clean, so a
/// later fsync that returns 0 says nothing. See fsync(2), "the writeback of dirty pages ... EIO".
/// </remarks>
public sealed unsafe partial class HostFile : IHostFile
{
    private readonly SafeFileHandle _handle;
    private VDiskException? _flushFailure;
    private volatile bool _lacksDurableWrite;

    private HostFile(string name, SafeFileHandle handle, bool isReadOnly)
    {
        Name = name;
        _handle = handle;
        IsReadOnly = isReadOnly;
    }

    /// <summary>The path it was opened by.</summary>
    public string Name { get; }

    public bool IsReadOnly { get; }

    public bool IsBlockDevice { get; private set; }

    /// <summary>The unit below which a block device cannot be addressed, 512 for a regular file; bytes.</summary>
    public int SectorByteSize { get; private set; } = 512;

    /// <summary>The open file, for locks and for surfaces that pass it on.</summary>
    public SafeFileHandle Handle => _handle;

    public long ByteLength
    {
        get
        {
            if (OperatingSystem.IsWindows())
            {
                return WindowsLength();
            }

            return IsBlockDevice ? DeviceLength() : (long)Status(_handle, Name).stx_size;
        }
    }

    /// <summary>Opens or creates. A pipe, a directory or a character device is refused.</summary>
    public static HostFile Open(string path, HostFileMode mode)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        return OperatingSystem.IsWindows() ? OpenWindows(path, mode) : OpenLinux(path, mode);
    }

    public void Read(long byteOffset, Span<byte> destination)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(byteOffset);
        fixed (byte* buffer = destination)
        {
            int done = 0;
            while (done < destination.Length)
            {
                nint count = OperatingSystem.IsWindows()
                    ? ReadWindows(byteOffset + done, destination[done..])
                    : Libc.pread(_handle, buffer + done, (nuint)(destination.Length - done), byteOffset + done);
                if (count > 0)
                {
                    done += (int)count;
                }
                else if (count == 0)
                {
                    throw VDiskException.Damaged(
                        Name, byteOffset + done, $"the file ends {destination.Length - done} bytes too early",
                        "restore the missing end from a copy");
                }
                else
                {
                    ThrowUnlessInterrupted("read", byteOffset + done);
                }
            }
        }
    }

    public void Write(long byteOffset, ReadOnlySpan<byte> source, bool forceUnitAccess = false)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(byteOffset);
        ThrowIfReadOnly();
        if (OperatingSystem.IsWindows())
        {
            WriteWindows(byteOffset, source, forceUnitAccess);
            return;
        }

        bool durable = forceUnitAccess && !_lacksDurableWrite;
        fixed (byte* buffer = source)
        {
            int done = 0;
            while (done < source.Length)
            {
                nuint left = (nuint)(source.Length - done);
                nint count;
                if (durable)
                {
                    var vector = new Libc.file_iovec { iov_base = buffer + done, iov_len = left };
                    count = Libc.pwritev2(_handle, &vector, 1, byteOffset + done, Libc.RWF_DSYNC);
                }
                else
                {
                    count = Libc.pwrite(_handle, buffer + done, left, byteOffset + done);
                }

                if (count >= 0)
                {
                    done += (int)count;
                }
                else if (durable && Marshal.GetLastPInvokeError() is Errno.EOPNOTSUPP or Errno.ENOSYS or Errno.EINVAL)
                {
                    // A kernel or filesystem without RWF_DSYNC: plain writes with a flush behind them from now on.
                    _lacksDurableWrite = true;
                    durable = false;
                }
                else
                {
                    ThrowWriteFailure(byteOffset + done, durable);
                }
            }
        }

        if (forceUnitAccess)
        {
            // RWF_DSYNC makes this write durable, yet an earlier failure must not be forgotten on this path either.
            ThrowIfFlushFailed();
            if (!durable)
            {
                Flush();
            }
        }
    }

    public void Flush()
    {
        ThrowIfFlushFailed();
        if (IsReadOnly)
        {
            return;
        }

        try
        {
            if (OperatingSystem.IsWindows())
            {
                FlushWindows();
                return;
            }

            while (Libc.fdatasync(_handle) != 0)
            {
                ThrowUnlessInterrupted("flush", null);
            }
        }
        catch (VDiskException failure)
        {
            Interlocked.CompareExchange(ref _flushFailure, failure, null);
            throw;
        }
    }

    public void SetLength(long byteLength)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(byteLength);
        ThrowIfReadOnly();
        if (IsBlockDevice)
        {
            throw new VDiskException(
                FailureKind.NoSpace, "a block device cannot grow or shrink", Name,
                "use an image format of fixed size on a block device");
        }

        if (OperatingSystem.IsWindows())
        {
            SetLengthWindows(byteLength);
            return;
        }

        while (Libc.ftruncate(_handle, byteLength) != 0)
        {
            ThrowUnlessInterrupted("change the length of the file", byteLength);
        }
    }

    public void Dispose() => _handle.Dispose();

    public override string ToString() => Name;

    private void ThrowIfReadOnly()
    {
        if (IsReadOnly)
        {
            throw new VDiskException(FailureKind.ReadOnly, "the file is open for reading only", Name);
        }
    }

    private void ThrowIfFlushFailed()
    {
        if (Volatile.Read(ref _flushFailure) is VDiskException failure)
        {
            throw new VDiskException(
                failure.Kind, "an earlier flush failed, so writes may be lost: " + failure.Message, failure.Where,
                "close the image, check the host's disk, and open it again", failure);
        }
    }

    private void ThrowWriteFailure(long byteOffset, bool wasDurable)
    {
        try
        {
            ThrowUnlessInterrupted("write", byteOffset);
        }
        catch (VDiskException failure) when (wasDurable)
        {
            // A failed RWF_DSYNC has consumed the kernel's one report of lost pages, as a failed flush has.
            Interlocked.CompareExchange(ref _flushFailure, failure, null);
            throw;
        }
    }

    private void ThrowUnlessInterrupted(string action, long? byteOffset)
    {
        int errno = Marshal.GetLastPInvokeError();
        if (errno != Errno.EINTR)
        {
            throw HostError.FromErrno(errno, action, Name, byteOffset);
        }
    }
}
