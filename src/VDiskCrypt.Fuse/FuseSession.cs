using VDiskCrypt.Core;
using VDiskCrypt.Interop.Linux.Fuse;

namespace VDiskCrypt.Fuse;

/// <summary>
/// A filesystem mounted and served by this process, from <see cref="Mount"/> until it is unmounted, from inside or
/// outside. When <see cref="Completion"/> has ended no request is under way any more, and the caller disposes the
/// filesystem, which this class never does.
/// </summary>
/// <remarks>This process must not touch its own mount: the thread would wait for a worker, which may wait for it.</remarks>
public sealed class FuseSession
{
    /// <summary>Threads of a queue from the start: one beside the program that waits, one for any free processor.</summary>
    private const int RingWorkers = 2;

    /// <summary>To how many a queue may grow, however many queues there are.</summary>
    private const int MinimumRingWorkers = 4;

    private readonly FuseDevice _device;
    private readonly StallWatch _watch = new();
    private readonly List<WorkerPool> _pools = [];
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private ShortPoll? _poll;
    private int _runningPools;

    private FuseSession(string mountPoint, string deviceNumber, FuseDevice device, Negotiation negotiation)
    {
        MountPoint = mountPoint;
        DeviceNumber = deviceNumber;
        _device = device;
        ProtocolMinor = negotiation.Minor;
        MaximumRequestByteCount = negotiation.MaximumRequestByteCount;
    }

    /// <summary>The resolved path.</summary>
    public string MountPoint { get; }

    /// <summary>"major:minor" of st_dev on the mount.</summary>
    public string DeviceNumber { get; }

    /// <summary>The path that requests take.</summary>
    public FuseTransport Transport { get; private set; }

    /// <summary>The protocol agreed on is 7.x.</summary>
    public int ProtocolMinorVersion => (int)ProtocolMinor;

    /// <summary>The largest READ and WRITE in bytes.</summary>
    public int MaximumRequestByteCount { get; }

    /// <summary>Ends when the mount has gone, for whatever reason, and all workers have ended.</summary>
    public Task Completion => _completion.Task;

    private uint ProtocolMinor { get; }

    /// <summary>Mounts a filesystem. On return the mount is usable.</summary>
    /// <param name="fileSystem">What to serve; the caller keeps it until <see cref="Completion"/>, then disposes it.</param>
    /// <param name="mountPoint">An empty directory. What a dead server left mounted there is taken off first.</param>
    /// <param name="options">How.</param>
    public static FuseSession Mount(IFileSystem fileSystem, string mountPoint, FuseOptions options)
    {
        ArgumentNullException.ThrowIfNull(fileSystem);
        ArgumentNullException.ThrowIfNull(options);
        FileSystemError error = fileSystem.GetAttributes(fileSystem.RootInode, out InodeAttributes root);
        if (error != FileSystemError.None || !UnixMode.IsDirectory(root.Mode))
        {
            throw new VDiskException(
                FailureKind.Damaged, $"the root of the filesystem is not a directory ({error})", "root inode", "check the filesystem");
        }

        string path = VDiskCrypt.Fuse.MountPoint.Prepare(mountPoint, options.AllowNonEmptyMountPoint);
        if (options.UseIoUring && IoUring.IsAvailable())
        {
            try
            {
                return MountCore(fileSystem, path, root.Mode, options, useIoUring: true);
            }
            catch (RingUnavailableException e)
            {
                // Once agreed on it cannot be taken back: another connection does without.
                options.FailureLog?.Invoke($"{e.Message}; serving from {FuseDevice.Path}");
            }
        }

        return MountCore(fileSystem, path, root.Mode, options, useIoUring: false);
    }

    private static FuseSession MountCore(
        IFileSystem fileSystem, string path, uint rootMode, FuseOptions options, bool useIoUring)
    {
        bool readOnly = options.ReadOnly || fileSystem.IsReadOnly;
        FuseDevice device = KernelMount.Create(path, readOnly, rootMode, options);
        try
        {
            return Start(fileSystem, path, device, readOnly, options, useIoUring);
        }
        catch
        {
            // Nothing serves it: with the descriptor closed the kernel fails all requests, and the mount can go.
            device.Dispose();
            FuseMounts.Detach(path, lazy: true);
            throw;
        }
    }

    /// <summary>Unmounts. Data that the kernel still holds are written first; then <see cref="Completion"/> ends.</summary>
    /// <param name="lazy">Take the mount out of sight at once; it ends when the last open file is closed.</param>
    /// <exception cref="VDiskException">InUse while files are open and <paramref name="lazy"/> is false.</exception>
    public void Unmount(bool lazy = false)
    {
        if (Completion.IsCompleted)
        {
            return;
        }

        MountTableEntry? entry = MountTable.Find(MountPoint);
        if (entry is null || entry.DeviceNumber != DeviceNumber)
        {
            if (!MountTable.Read().Exists(other => other.DeviceNumber == DeviceNumber))
            {
                // Unmounted from outside, and about to complete.
                return;
            }

            throw new VDiskException(
                FailureKind.InUse, "something else is mounted over the mount", MountPoint, "unmount that first");
        }

        FuseMounts.Detach(MountPoint, lazy);
    }

    /// <summary>What has been served so far.</summary>
    public FuseStatistics GetStatistics()
    {
        var sum = new RequestCounters();
        _pools.ForEach(pool => pool.AddCounts(sum));
        return sum.ToStatistics(_pools.Sum(pool => pool.WorkerCount));
    }

    private static FuseSession Start(
        IFileSystem fileSystem, string path, FuseDevice device, bool readOnly, FuseOptions options, bool useIoUring)
    {
        Negotiation negotiation = Negotiation.Run(device, readOnly, options, useIoUring);
        MountTableEntry entry = MountTable.Find(path) is MountTableEntry found && FuseMounts.IsOurs(found)
            ? found
            : throw new VDiskException(FailureKind.InUse, "the mount was taken off while it was made", path);
        ReadAhead.TryRaise(entry.DeviceNumber, options.ReadAheadByteCount);

        var session = new FuseSession(path, entry.DeviceNumber, device, negotiation);
        var failures = new FailureReport(options.FailureLog);
        var operations = new FuseOperations(fileSystem, failures, negotiation.Agreed, device.InvalidateAttributes);
        if (negotiation.UsesIoUring)
        {
            session.StartRings(operations, options);
        }
        else
        {
            session._poll = ShortPoll.TryCreate();
            session.AddDevicePool(operations, options, DefaultWorkerCount(options));
            session.StartPools();
        }

        return session;
    }

    private static int DefaultWorkerCount(FuseOptions options) =>
        options.WorkerCount > 0 ? options.WorkerCount : Math.Max(2, Environment.ProcessorCount);

    /// <summary>A queue for every processor, and one reader of /dev/fuse, where FORGET and INTERRUPT still come.</summary>
    private void StartRings(FuseOperations operations, FuseOptions options)
    {
        int queueCount = Processors.PossibleCount();
        if (queueCount == 0)
        {
            throw new RingUnavailableException("FUSE over io_uring: the number of possible processors is unknown");
        }

        Transport = FuseTransport.IoUring;
        var start = new RingStart(queueCount);
        int maximumWorkerCount = Math.Max(MinimumRingWorkers, options.MaximumWorkerCount / queueCount);
        for (int i = 0; i < queueCount; i++)
        {
            var queue = new RingQueue(i);
            int sourceCount = 0;
            AddPool($"fuse-cpu{i}", RingWorkers, maximumWorkerCount, retires: false, () =>
            {
                int number = sourceCount++;
                RingRole role = number == 0 ? RingRole.Resident : number < RingWorkers ? RingRole.Spare : RingRole.Relief;
                return new RingWorker(
                    _device, operations, MaximumRequestByteCount, queue, role, number == 0 ? start : null);
            });
        }

        AddDevicePool(operations, options, baseCount: 1);
        StartPools();
        start.Wait();
    }

    private void AddDevicePool(FuseOperations operations, FuseOptions options, int baseCount) => AddPool(
        "fuse", baseCount, options.MaximumWorkerCount, retires: true,
        () => new DeviceWorker(_device, operations, MaximumRequestByteCount, _poll));

    private void AddPool(string name, int baseCount, int maximumCount, bool retires, Func<IRequestSource> createSource)
    {
        _pools.Add(new WorkerPool(name, baseCount, maximumCount, retires, createSource, _watch, OnPoolEnded));
        _runningPools++;
    }

    private void StartPools()
    {
        _watch.Start();
        try
        {
            _pools.ForEach(pool => pool.Start());
        }
        catch
        {
            // Those that run end with the connection; nobody else will stop the watch.
            _watch.Stop();
            throw;
        }
    }

    private void OnPoolEnded()
    {
        if (Interlocked.Decrement(ref _runningPools) == 0)
        {
            _watch.Stop();
            _device.Dispose();
            _poll?.Dispose();
            _completion.TrySetResult();
        }
    }
}
