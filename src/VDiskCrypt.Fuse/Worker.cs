namespace VDiskCrypt.Fuse;

/// <summary>A thread that serves requests, and what others may know of it.</summary>
internal sealed class Worker(WorkerPool pool)
{
    private bool _isBusy;
    private long _operationsAtLastSample = -1;

    /// <summary>The number of the worker's thread, once that runs.</summary>
    public int ThreadId { get; set; }

    public RequestCounters Counters { get; } = new();

    /// <summary>A request has come and is being served.</summary>
    public void Enter()
    {
        Volatile.Write(ref _isBusy, true);
        pool.CountBusy();
    }

    public void Leave()
    {
        pool.CountIdle();
        Volatile.Write(ref _isBusy, false);
    }

    /// <summary>
    /// Whether it has been at one request since the last call and waits: for I/O, or for a lock of one that does. One
    /// that wants a processor is not stalled, and another would not help it. For the one watcher thread.
    /// </summary>
    public bool SampleIsStalled()
    {
        long operations = Counters.Operations;
        bool isStalled = Volatile.Read(ref _isBusy) && operations == _operationsAtLastSample;
        _operationsAtLastSample = Volatile.Read(ref _isBusy) ? operations : -1;
        return isStalled && !ThreadState.IsRunnable(ThreadId);
    }
}
