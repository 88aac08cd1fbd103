using System.Diagnostics;
using System.Runtime.InteropServices;
using VDiskCrypt.Interop.Linux;
using VDiskCrypt.Interop.Linux.Fuse;
using static VDiskCrypt.Interop.Linux.Fuse.FuseStructs;

namespace VDiskCrypt.Fuse;

/// <summary>
/// Serves requests from one descriptor of /dev/fuse with one buffer: a read(2) and a write(2) per request, no
/// allocation.
/// </summary>
/// <remarks>
/// Layout of the buffer: a page, at whose end the headers lie, then the data from a page boundary on. The request is
/// read to 80 bytes before the boundary, so that the data of a WRITE (header 40 bytes, argument 40) start on it; the
/// reply's header goes to 16 bytes before it, so that the data of a READ start on it. Neither is ever copied.
/// </remarks>
internal sealed unsafe class DeviceWorker : IRequestSource
{
    private static readonly int PageByteCount = Environment.SystemPageSize;

    private readonly FuseDevice _device;
    private readonly bool _ownsDevice;
    private readonly FuseOperations _operations;
    private readonly NativeRegion _region;
    private readonly FuseRequest _request;
    private readonly byte* _data;
    private readonly nuint _readByteCount;
    private readonly ShortPoll? _poll;
    private ShortPoll.History _history;

    /// <param name="original">The session's descriptor, cloned if that can be.</param>
    /// <param name="operations">What serves the requests.</param>
    /// <param name="maximumRequestByteCount">The agreed largest READ and WRITE.</param>
    /// <param name="poll">The session's, or null to block at once.</param>
    public DeviceWorker(
        FuseDevice original, FuseOperations operations, int maximumRequestByteCount, ShortPoll? poll)
    {
        _poll = poll;
        FuseDevice? clone = original.TryClone();
        _ownsDevice = clone is not null;
        _device = clone ?? original;
        _operations = operations;

        // One page more than a WRITE needs: the kernel wants room for headers on top of max_write.
        int dataByteCount = Math.Max(maximumRequestByteCount, FuseConstants.FUSE_MIN_READ_BUFFER) + PageByteCount;
        _region = new NativeRegion(PageByteCount + dataByteCount);
        _data = _region.Start + PageByteCount;
        _readByteCount = (nuint)(sizeof(fuse_in_header) + sizeof(fuse_write_in) + dataByteCount);
        _request = new FuseRequest(_data, dataByteCount);
    }

    public bool TryServe(Worker worker)
    {
        byte* start = _data - sizeof(fuse_in_header) - sizeof(fuse_write_in);
        nint byteCount = Read(start);
        if (byteCount < 0)
        {
            // ENOENT: the request was withdrawn while it was being read. ENODEV: unmounted. ECONNABORTED: aborted.
            return Marshal.GetLastPInvokeError() is FuseErrno.EINTR or FuseErrno.EAGAIN or FuseErrno.ENOENT;
        }

        worker.Enter();
        try
        {
            return byteCount < sizeof(fuse_in_header) || Serve(start, (int)byteCount, worker.Counters);
        }
        finally
        {
            worker.Leave();
        }
    }

    private nint Read(byte* start)
    {
        if (_poll is null)
        {
            return Libc.read(_device.Descriptor, start, _readByteCount);
        }

        _poll.Wait(_device.Descriptor, ref _history);
        long startTimestamp = Stopwatch.GetTimestamp();
        nint byteCount = Libc.read(_device.Descriptor, start, _readByteCount);
        ShortPoll.Learn(startTimestamp, ref _history);
        return byteCount;
    }

    public void Dispose()
    {
        _region.Dispose();
        if (_ownsDevice)
        {
            _device.Dispose();
        }
    }

    private bool Serve(byte* start, int byteCount, RequestCounters counters)
    {
        FuseRequest request = _request;
        request.Header = *(fuse_in_header*)start;
        byte* argument = start + sizeof(fuse_in_header);
        int argumentByteCount = _operations.ArgumentByteCount(request.Header.opcode);
        int payloadByteCount = byteCount - sizeof(fuse_in_header) - argumentByteCount;
        request.Begin(argument, argument + argumentByteCount, Math.Max(0, payloadByteCount));
        if (payloadByteCount < 0)
        {
            request.Fail(FuseErrno.EINVAL);
        }
        else
        {
            _operations.Handle(request, counters);
        }

        return !request.HasReply || Reply(request);
    }

    private bool Reply(FuseRequest request)
    {
        byte* start = _data - sizeof(fuse_out_header);
        int byteCount = sizeof(fuse_out_header) + request.ReplyByteCount;
        *(fuse_out_header*)start = new fuse_out_header
        {
            len = (uint)byteCount,
            error = -request.Error,
            unique = request.Header.unique,
        };
        if (Libc.write(_device.Descriptor, start, (nuint)byteCount) == byteCount)
        {
            return true;
        }

        // ENOENT: nobody waits for it any more. Anything else concerns this reply alone too, but for a connection's end.
        int errno = Marshal.GetLastPInvokeError();
        _operations.UndoReferences(request);
        return errno is not (FuseErrno.ENODEV or FuseErrno.ECONNABORTED);
    }
}
