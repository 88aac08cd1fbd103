namespace VDiskCrypt.Fuse;

/// <summary>What a session has served since it was mounted.</summary>
/// <param name="OperationCount">Requests of all kinds.</param>
/// <param name="ReadCount">READ requests.</param>
/// <param name="ReadByteCount">Bytes that READ requests returned.</param>
/// <param name="WriteCount">WRITE requests.</param>
/// <param name="WrittenByteCount">Bytes that WRITE requests wrote.</param>
/// <param name="LargestReadByteCount">The largest READ request that came.</param>
/// <param name="LargestWriteByteCount">The largest WRITE request that came.</param>
/// <param name="FailureCount">Requests that ended in an I/O error or worse.</param>
/// <param name="WorkerCount">Threads that serve now.</param>
public readonly record struct FuseStatistics(
    long OperationCount, long ReadCount, long ReadByteCount, long WriteCount, long WrittenByteCount,
    long LargestReadByteCount, long LargestWriteByteCount, long FailureCount, int WorkerCount);
