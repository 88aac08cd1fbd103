using System.Runtime.InteropServices;
using VDiskCrypt.Interop.Linux;
using VDiskCrypt.Interop.Linux.Fuse;
using static VDiskCrypt.Interop.Linux.Fuse.FuseStructs;

namespace VDiskCrypt.Fuse;

/// <summary>
/// Serves requests of one queue of FUSE over io_uring through one entry: one io_uring_enter(2) per request, which
/// hands over the last reply and waits for the next request.
/// </summary>
/// <remarks>
/// One entry per thread, on a ring of its own: the kernel fills an entry in the context of the thread that submitted
/// it, so an entry whose thread waits for slow I/O must not be one that the kernel takes for available. Requests that
/// find no entry wait in the kernel, and the next thread that hands over a reply takes them. The kernel prefers the
/// entry that was used last. Layout: a page with struct fuse_uring_req_header, then the payload of the request, which
/// the payload of the reply overwrites.
/// </remarks>
internal sealed unsafe class RingWorker : IRequestSource
{
    /// <summary>So many commands that fail in a row mean that the connection is of no use.</summary>
    private const int MaximumFailureCount = 8;

    private static readonly int PageByteCount = Environment.SystemPageSize;

    private readonly FuseDevice _device;
    private readonly FuseOperations _operations;
    private readonly RingQueue _queue;
    private readonly RingRole _role;
    private readonly RingStart? _start;
    private readonly IoUring _ring;
    private readonly NativeRegion _region;
    private readonly FuseRequest _request;
    private readonly fuse_uring_req_header* _header;
    private readonly Libc.struct_iovec* _vectors;
    private readonly byte* _payload;
    private readonly int _payloadByteCount;
    private readonly ProcessorPin? _pin;
    private bool _isRegistered;
    private int _failureCount;

    /// <param name="device">The connection.</param>
    /// <param name="operations">What serves the requests.</param>
    /// <param name="maximumRequestByteCount">The agreed largest READ and WRITE.</param>
    /// <param name="queue">The queue.</param>
    /// <param name="role">What the thread is for.</param>
    /// <param name="start">Told when the entry is registered; only for the first entry of a queue.</param>
    public RingWorker(
        FuseDevice device, FuseOperations operations, int maximumRequestByteCount, RingQueue queue, RingRole role, RingStart? start)
    {
        _device = device;
        _operations = operations;
        _queue = queue;
        _role = role;
        _start = start;
        _pin = role == RingRole.Resident ? new ProcessorPin(queue.Index) : null;
        _payloadByteCount = Math.Max(maximumRequestByteCount, FuseConstants.FUSE_MIN_READ_BUFFER);
        _ring = new IoUring();
        try
        {
            _region = new NativeRegion(PageByteCount + _payloadByteCount);
        }
        catch
        {
            _ring.Dispose();
            throw;
        }

        _header = (fuse_uring_req_header*)_region.Start;
        _vectors = (Libc.struct_iovec*)(_header + 1);
        _payload = _region.Start + PageByteCount;
        _request = new FuseRequest(_payload, _payloadByteCount);
    }

    public bool TryServe(Worker worker)
    {
        if (!_isRegistered && !TryRegister())
        {
            return false;
        }

        int result;
        while (!_ring.TryTakeCompletion(out result))
        {
            if (!_ring.TryEnter(wait: true))
            {
                return false;
            }
        }

        if (result != 0)
        {
            return TryRecover(result);
        }

        _failureCount = 0;
        worker.Enter();
        try
        {
            Serve(worker.Counters);
            return true;
        }
        finally
        {
            worker.Leave();
        }
    }

    public void Dispose()
    {
        _ring.Dispose();
        _region.Dispose();
    }

    private bool TryRegister()
    {
        _pin?.Start();
        _isRegistered = true;
        QueueRegister();
        bool isEntered = _ring.TryEnter(wait: false);
        int errno = isEntered ? 0 : Marshal.GetLastPInvokeError();
        if (isEntered && _ring.TryTakeCompletion(out int result) && result != 0)
        {
            isEntered = false;
            errno = -result;
        }

        _start?.Report(errno);
        if (isEntered && _role == RingRole.Relief)
        {
            // What came while all entries were taken waits in the kernel until some reply is handed over: this makes
            // the kernel send a request to this queue, whose reply takes it along.
            ulong node = _queue.RegularNode;
            _ = node != 0 && Processors.TryRunOn(_queue.Index, () => _device.RequestNotifyReply(node));
        }

        return isEntered;
    }

    private void QueueRegister()
    {
        _vectors[0] = new Libc.struct_iovec { iov_base = (byte*)_header, iov_len = (nuint)sizeof(fuse_uring_req_header) };
        _vectors[1] = new Libc.struct_iovec { iov_base = _payload, iov_len = (nuint)_payloadByteCount };
        Queue(FuseConstants.FUSE_IO_URING_CMD_REGISTER, commitId: 0);
        _ring.Entry->addr = (ulong)_vectors;
        _ring.Entry->len = 2;
    }

    private void Queue(uint command, ulong commitId)
    {
        Libc.io_uring_sqe128* entry = _ring.Entry;
        *entry = new Libc.io_uring_sqe128
        {
            opcode = Libc.IORING_OP_URING_CMD,
            fd = _device.Descriptor,
            cmd_op = command,
        };
        *(fuse_uring_cmd_req*)&entry->cmd = new fuse_uring_cmd_req { commit_id = commitId, qid = (ushort)_queue.Index };
        _ring.Queue();
    }

    /// <summary>A command failed: the connection has ended, or it is tried again.</summary>
    private bool TryRecover(int result)
    {
        switch (-result)
        {
            case FuseErrno.EAGAIN or FuseErrno.EINTR or FuseErrno.ENOMEM when ++_failureCount < MaximumFailureCount:
                _ring.Queue();
                return true;
            case FuseErrno.EINVAL or FuseErrno.ENOENT or FuseErrno.EIO when ++_failureCount < MaximumFailureCount:
                // The reply found no request any more, and the entry went with it.
                _operations.UndoReferences(_request);
                QueueRegister();
                return true;
            default:
                return false;
        }
    }

    private void Serve(RequestCounters counters)
    {
        FuseRequest request = _request;
        request.Header = *(fuse_in_header*)&_header->in_out;
        ulong commitId = _header->ring_ent_in_out.commit_id;
        uint payloadByteCount = _header->ring_ent_in_out.payload_sz;
        if (request.Header.opcode is fuse_opcode.FUSE_READ or fuse_opcode.FUSE_WRITE)
        {
            // The size lies at the same place in struct fuse_read_in and fuse_write_in.
            _queue.RegularNode = request.Header.nodeid;
            _pin?.Prepare((int)Math.Min(((fuse_read_in*)&_header->op_in)->size, int.MaxValue));
        }
        else
        {
            _pin?.Prepare(byteCount: 0);
        }

        request.Begin((byte*)&_header->op_in, _payload, (int)Math.Min(payloadByteCount, (uint)_payloadByteCount));
        if (payloadByteCount > _payloadByteCount)
        {
            request.Fail(FuseErrno.EINVAL);
        }
        else
        {
            _operations.Handle(request, counters);
        }

        *(fuse_out_header*)&_header->in_out = new fuse_out_header
        {
            len = (uint)(sizeof(fuse_out_header) + request.ReplyByteCount),
            error = -request.Error,
            unique = request.Header.unique,
        };
        _header->ring_ent_in_out = new fuse_uring_ent_in_out { payload_sz = (uint)request.ReplyByteCount };
        Queue(FuseConstants.FUSE_IO_URING_CMD_COMMIT_AND_FETCH, commitId);
    }
}
