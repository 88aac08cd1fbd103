namespace VDiskCrypt.Fuse;

/// <summary>
/// One thread that looks at the pools every few milliseconds, but only while some pool has all its workers busy:
/// an idle mount costs nothing, and a request waits a few milliseconds at most behind workers that do not move.
/// </summary>
internal sealed class StallWatch
{
    /// <summary>A worker at one request for this long counts as stalled.</summary>
    private const int SampleIntervalMs = 2;

    /// <summary>After so many samples without a pool that is all busy, the thread sleeps until it is woken.</summary>
    private const int QuietSampleCount = 25;

    private readonly List<WorkerPool> _pools = [];
    private readonly AutoResetEvent _wake = new(false);
    private readonly Thread _thread;
    private int _isAwake;
    private bool _isStopping;

    public StallWatch() => _thread = new Thread(Run) { IsBackground = true, Name = "fuse-watch" };

    /// <summary>Before <see cref="Start"/> only.</summary>
    public void Add(WorkerPool pool) => _pools.Add(pool);

    public void Start() => _thread.Start();

    /// <summary>All workers of a pool are busy. Costs a read while the thread is awake, as it is under load.</summary>
    public void Wake()
    {
        if (Volatile.Read(ref _isAwake) == 0 && Interlocked.Exchange(ref _isAwake, 1) == 0)
        {
            _wake.Set();
        }
    }

    public void Stop()
    {
        Volatile.Write(ref _isStopping, true);
        _wake.Set();
    }

    private void Run()
    {
        while (true)
        {
            _wake.WaitOne();
            for (int quietCount = 0; quietCount < QuietSampleCount; quietCount++)
            {
                if (Volatile.Read(ref _isStopping))
                {
                    return;
                }

                Thread.Sleep(SampleIntervalMs);
                if (SampleAll())
                {
                    quietCount = 0;
                }
            }

            Volatile.Write(ref _isAwake, 0);
            Interlocked.MemoryBarrier();

            // A pool that filled up just before the line above did not wake this thread.
            if (SampleAll())
            {
                Wake();
            }
        }
    }

    private bool SampleAll()
    {
        bool anyBusy = false;
        foreach (WorkerPool pool in _pools)
        {
            anyBusy |= pool.Sample();
        }

        return anyBusy;
    }
}
