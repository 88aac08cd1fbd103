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
    private readonly FuseDevice _device;
    private readonly StallWatch _watch = new();
    private readonly List<WorkerPool> _pools = [];
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
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
        bool readOnly = options.ReadOnly || fileSystem.IsReadOnly;
        FuseDevice device = KernelMount.Create(path, readOnly, root.Mode, options);
        try
        {
            return Start(fileSystem, path, device, readOnly, options);
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
        IFileSystem fileSystem, string path, FuseDevice device, bool readOnly, FuseOptions options)
    {
        Negotiation negotiation = Negotiation.Run(device, readOnly, options);
        MountTableEntry entry = MountTable.Find(path) is MountTableEntry found && FuseMounts.IsOurs(found)
            ? found
            : throw new VDiskException(FailureKind.InUse, "the mount was taken off while it was made", path);
        ReadAhead.TryRaise(entry.DeviceNumber, options.ReadAheadByteCount);

        var session = new FuseSession(path, entry.DeviceNumber, device, negotiation);
        var failures = new FailureReport(options.FailureLog);
        var operations = new FuseOperations(fileSystem, failures, negotiation.Agreed, device.InvalidateAttributes);
        int workerCount = options.WorkerCount > 0 ? options.WorkerCount : Math.Max(2, Environment.ProcessorCount);
        session.AddPool(
            "fuse", workerCount, options.MaximumWorkerCount,
            () => new DeviceWorker(device, operations, negotiation.MaximumRequestByteCount));
        session.StartPools();
        return session;
    }

    private void AddPool(string name, int baseCount, int maximumCount, Func<IRequestSource> createSource)
    {
        _pools.Add(new WorkerPool(name, baseCount, maximumCount, createSource, _watch, OnPoolEnded));
        _runningPools++;
    }

    private void StartPools()
    {
        _watch.Start();
        _pools.ForEach(pool => pool.Start());
    }

    private void OnPoolEnded()
    {
        if (Interlocked.Decrement(ref _runningPools) == 0)
        {
            _watch.Stop();
            _device.Dispose();
            _completion.TrySetResult();
        }
    }
}
