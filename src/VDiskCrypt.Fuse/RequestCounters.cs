namespace VDiskCrypt.Fuse;

/// <summary>Counters of one worker: only its thread writes them, anyone reads.</summary>
internal sealed class RequestCounters
{
    private long _operations;
    private long _reads;
    private long _readBytes;
    private long _writes;
    private long _writtenBytes;
    private long _largestRead;
    private long _largestWrite;
    private long _failures;

    /// <summary>Requests finished; a watcher compares two samples to see whether the worker moves.</summary>
    public long Operations => Volatile.Read(ref _operations);

    public void CountOperation() => Volatile.Write(ref _operations, _operations + 1);

    public void CountFailure() => _failures++;

    public void CountRead(int requestedByteCount, int byteCount)
    {
        _reads++;
        _readBytes += byteCount;
        _largestRead = Math.Max(_largestRead, requestedByteCount);
    }

    public void CountWrite(int requestedByteCount, int byteCount)
    {
        _writes++;
        _writtenBytes += byteCount;
        _largestWrite = Math.Max(_largestWrite, requestedByteCount);
    }

    /// <summary>Adds another's counts; the caller sees to it that nobody writes to this one.</summary>
    public void Add(RequestCounters other)
    {
        _operations += other.Operations;
        _reads += Volatile.Read(ref other._reads);
        _readBytes += Volatile.Read(ref other._readBytes);
        _writes += Volatile.Read(ref other._writes);
        _writtenBytes += Volatile.Read(ref other._writtenBytes);
        _largestRead = Math.Max(_largestRead, Volatile.Read(ref other._largestRead));
        _largestWrite = Math.Max(_largestWrite, Volatile.Read(ref other._largestWrite));
        _failures += Volatile.Read(ref other._failures);
    }

    public FuseStatistics ToStatistics(int workerCount) => new(
        _operations, _reads, _readBytes, _writes, _writtenBytes, _largestRead, _largestWrite, _failures, workerCount);
}
