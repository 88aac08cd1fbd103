using System.Runtime.InteropServices;
using VDiskCrypt.Interop.Linux;
using VDiskCrypt.Interop.Linux.Fuse;
using static VDiskCrypt.Interop.Linux.Libc;

namespace VDiskCrypt.Fuse;

/// <summary>An io_uring with room for one command under way, used by one thread.</summary>
/// <remarks>
/// io_uring(7). The indices in the shared rings are counters that wrap; the side that owns an index publishes it with
/// release order, the other reads it with acquire order.
/// </remarks>
internal sealed unsafe class IoUring : IDisposable
{
    private const uint EntryCount = 1;

    /// <summary>Twice the entries: a command that fails at once and one that ends later find room.</summary>
    private const uint CompletionCount = 2;

    private readonly nint _rings;
    private readonly nuint _ringsByteCount;
    private readonly nint _entries;
    private readonly uint* _submissionTail;
    private readonly uint* _completionHead;
    private readonly uint* _completionTail;
    private readonly io_uring_cqe* _completions;
    private readonly uint _completionMask;
    private int _fd;
    private uint _unsubmittedCount;

    /// <exception cref="RingUnavailableException">This kernel has none, or not for this process.</exception>
    public IoUring()
    {
        var parameters = new io_uring_params
        {
            // COOP_TASKRUN: no interrupt for a thread that is about to enter the kernel anyway.
            flags = IORING_SETUP_SQE128 | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE | IORING_SETUP_COOP_TASKRUN,
            cq_entries = CompletionCount,
        };
        _fd = (int)syscall_setup(SYS_io_uring_setup, EntryCount, &parameters);
        if (_fd < 0)
        {
            throw Unavailable("io_uring_setup failed");
        }

        _ringsByteCount = Math.Max(
            parameters.sq_off.array + (parameters.sq_entries * sizeof(uint)),
            parameters.cq_off.cqes + (parameters.cq_entries * (uint)sizeof(io_uring_cqe)));
        const int Protection = PROT_READ | PROT_WRITE;
        _rings = mmap(0, _ringsByteCount, Protection, MAP_SHARED | MAP_POPULATE, _fd, IORING_OFF_SQ_RING);
        _entries = _rings == MAP_FAILED || (parameters.features & IORING_FEAT_SINGLE_MMAP) == 0
            ? MAP_FAILED
            : mmap(0, EntriesByteCount, Protection, MAP_SHARED | MAP_POPULATE, _fd, IORING_OFF_SQES);
        if (_entries == MAP_FAILED)
        {
            RingUnavailableException e = Unavailable("the rings cannot be mapped");
            Dispose();
            throw e;
        }

        byte* start = (byte*)_rings;
        _submissionTail = (uint*)(start + parameters.sq_off.tail);
        _completionHead = (uint*)(start + parameters.cq_off.head);
        _completionTail = (uint*)(start + parameters.cq_off.tail);
        _completions = (io_uring_cqe*)(start + parameters.cq_off.cqes);
        _completionMask = *(uint*)(start + parameters.cq_off.ring_mask);
        *(uint*)(start + parameters.sq_off.array) = 0;
    }

    /// <summary>The one submission entry; what it holds is submitted again by each <see cref="Queue"/>.</summary>
    public io_uring_sqe128* Entry => (io_uring_sqe128*)_entries;

    private static nuint EntriesByteCount => EntryCount * (nuint)sizeof(io_uring_sqe128);

    /// <summary>Whether rings can be had here: seccomp, kernel.io_uring_disabled and old kernels forbid them.</summary>
    public static bool IsAvailable()
    {
        try
        {
            new IoUring().Dispose();
            return true;
        }
        catch (RingUnavailableException)
        {
            return false;
        }
    }

    /// <summary>Makes <see cref="Entry"/> go with the next <see cref="TryEnter"/>.</summary>
    public void Queue()
    {
        Volatile.Write(ref *_submissionTail, *_submissionTail + 1);
        _unsubmittedCount = 1;
    }

    /// <summary>Submits what is queued, and waits for a completion if asked.</summary>
    /// <returns>False when the ring is broken; an interrupted wait is no failure.</returns>
    public bool TryEnter(bool wait)
    {
        long submittedCount = syscall_enter(
            SYS_io_uring_enter, _fd, _unsubmittedCount, wait ? 1u : 0u, IORING_ENTER_GETEVENTS, null, 0);
        if (submittedCount >= 0)
        {
            _unsubmittedCount -= (uint)submittedCount;
            return true;
        }

        return Marshal.GetLastPInvokeError() is FuseErrno.EINTR or FuseErrno.EAGAIN or FuseErrno.EBUSY;
    }

    /// <param name="result">0 or a negative errno.</param>
    public bool TryTakeCompletion(out int result)
    {
        uint head = *_completionHead;
        if (head == Volatile.Read(ref *_completionTail))
        {
            result = 0;
            return false;
        }

        result = _completions[head & _completionMask].res;
        Volatile.Write(ref *_completionHead, head + 1);
        return true;
    }

    public void Dispose()
    {
        int fd = Interlocked.Exchange(ref _fd, -1);
        if (fd < 0)
        {
            return;
        }

        if (_entries != 0 && _entries != MAP_FAILED)
        {
            _ = munmap(_entries, EntriesByteCount);
        }

        if (_rings != 0 && _rings != MAP_FAILED)
        {
            _ = munmap(_rings, _ringsByteCount);
        }

        _ = close(fd);
    }

    private static RingUnavailableException Unavailable(string what) =>
        new($"no io_uring, {what}: {Marshal.GetLastPInvokeErrorMessage()}");
}
