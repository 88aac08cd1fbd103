namespace VDiskCrypt.Fuse;

/// <summary>Waits until every queue of a connection is registered: before that the kernel sends no request.</summary>
internal sealed class RingStart(int queueCount)
{
    private const int TimeoutMs = 10_000;

    private readonly ManualResetEventSlim _decided = new();
    private int _missingCount = queueCount;
    private int _errno;

    /// <summary>One queue has its first entry, or (<paramref name="errno"/> other than 0) cannot have it.</summary>
    public void Report(int errno)
    {
        if (errno != 0)
        {
            Volatile.Write(ref _errno, errno);
        }

        if (Interlocked.Decrement(ref _missingCount) == 0 || errno != 0)
        {
            _decided.Set();
        }
    }

    /// <exception cref="RingUnavailableException">The connection cannot be used any more.</exception>
    public void Wait()
    {
        bool isDecided = _decided.Wait(TimeoutMs);
        int errno = Volatile.Read(ref _errno);
        if (!isDecided || errno != 0)
        {
            throw new RingUnavailableException(isDecided
                ? $"FUSE over io_uring: the kernel refuses a queue (errno {errno})"
                : "FUSE over io_uring: the queues are not ready in time");
        }
    }
}
