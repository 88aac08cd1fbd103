using VDiskCrypt.Interop.Linux;

namespace VDiskCrypt.Fuse;

/// <summary>
/// The workers of one queue of requests. A worker that waits for slow I/O does not serve, so while all are busy and
/// some of them do not move, the pool adds workers, up to a limit, and lets them go when they are idle again.
/// </summary>
/// <remarks>Not more threads than needed: each takes its turn, and the fewer they are the warmer their caches stay.</remarks>
internal sealed class WorkerPool
{
    /// <summary>Room for the deepest call of a filesystem, and small enough for many threads.</summary>
    private const int StackByteCount = 1 << 20;

    private readonly Lock _lock = new();
    private readonly List<Worker> _workers = [];
    private readonly RequestCounters _retired = new();
    private readonly string _name;
    private readonly int _baseCount;
    private readonly int _maximumCount;
    private readonly bool _retires;
    private readonly Func<IRequestSource> _createSource;
    private readonly StallWatch _watch;
    private readonly Action _ended;
    private int _workerCount;
    private int _busyCount;
    private bool _isEnding;

    /// <param name="name">Prefix of the threads' names.</param>
    /// <param name="baseCount">How many workers should always be able to take a request.</param>
    /// <param name="maximumCount">The most threads.</param>
    /// <param name="retires">Whether a worker that is not needed any more may end while the connection lives.</param>
    /// <param name="createSource">What a new worker serves from; called on the thread that starts it.</param>
    /// <param name="watch">What calls <see cref="Sample"/> while requests may be waiting.</param>
    /// <param name="ended">Called by the last worker when the connection has ended.</param>
    public WorkerPool(
        string name, int baseCount, int maximumCount, bool retires, Func<IRequestSource> createSource, StallWatch watch,
        Action ended)
    {
        _name = name;
        _baseCount = baseCount;
        _maximumCount = Math.Max(baseCount, maximumCount);
        _retires = retires;
        _createSource = createSource;
        _watch = watch;
        _ended = ended;
        watch.Add(this);
    }

    public int WorkerCount => Volatile.Read(ref _workerCount);

    public void Start()
    {
        // All sources first: where one cannot be had, nothing runs yet and the caller can undo.
        var sources = new List<IRequestSource>();
        try
        {
            for (int i = 0; i < _baseCount; i++)
            {
                sources.Add(_createSource());
            }
        }
        catch
        {
            sources.ForEach(source => source.Dispose());
            throw;
        }

        lock (_lock)
        {
            sources.ForEach(StartWorker);
        }
    }

    public void CountBusy()
    {
        if (Interlocked.Increment(ref _busyCount) >= Volatile.Read(ref _workerCount))
        {
            _watch.Wake();
        }
    }

    public void CountIdle() => Interlocked.Decrement(ref _busyCount);

    /// <summary>Adds workers if all are busy and too few of them move.</summary>
    /// <returns>Whether all are busy, so that the next sample should come soon.</returns>
    public bool Sample()
    {
        lock (_lock)
        {
            int stalledCount = 0;
            foreach (Worker worker in _workers)
            {
                stalledCount += worker.SampleIsStalled() ? 1 : 0;
            }

            if (_isEnding || Volatile.Read(ref _busyCount) < _workerCount)
            {
                return false;
            }

            int wanted = Math.Min(_baseCount - (_workerCount - stalledCount), _maximumCount - _workerCount);
            for (int i = 0; i < wanted; i++)
            {
                try
                {
                    StartWorker(_createSource());
                }
                catch (Exception e) when (e is OutOfMemoryException or IOException)
                {
                    // No memory for another: those that there are go on.
                    return true;
                }
            }

            return true;
        }
    }

    public void AddCounts(RequestCounters sum)
    {
        lock (_lock)
        {
            sum.Add(_retired);
            foreach (Worker worker in _workers)
            {
                sum.Add(worker.Counters);
            }
        }
    }

    private void StartWorker(IRequestSource source)
    {
        var worker = new Worker(this);
        var thread = new Thread(() => Run(worker, source), StackByteCount)
        {
            IsBackground = true,
            Name = $"{_name}-{_workers.Count}",
        };
        _workers.Add(worker);
        Volatile.Write(ref _workerCount, _workers.Count);
        thread.Start();
    }

    private void Run(Worker worker, IRequestSource source)
    {
        bool isConnected = true;
        worker.ThreadId = Libc.gettid();
        while (isConnected && !TryRetire(worker))
        {
            isConnected = source.TryServe(worker);
        }

        source.Dispose();
        if (isConnected)
        {
            return;
        }

        bool isLast;
        lock (_lock)
        {
            _isEnding = true;
            isLast = Remove(worker);
        }

        if (isLast)
        {
            _ended();
        }
    }

    /// <summary>Takes a surplus worker out when as many as needed are idle besides it.</summary>
    private bool TryRetire(Worker worker)
    {
        if (!_retires || Volatile.Read(ref _workerCount) <= _baseCount)
        {
            return false;
        }

        lock (_lock)
        {
            int otherIdleCount = _workerCount - Volatile.Read(ref _busyCount) - 1;
            if (_workerCount <= _baseCount || otherIdleCount < _baseCount)
            {
                return false;
            }

            Remove(worker);
            return true;
        }
    }

    /// <summary>Whether it was the last.</summary>
    private bool Remove(Worker worker)
    {
        _retired.Add(worker.Counters);
        _workers.Remove(worker);
        Volatile.Write(ref _workerCount, _workers.Count);
        return _workers.Count == 0;
    }
}
