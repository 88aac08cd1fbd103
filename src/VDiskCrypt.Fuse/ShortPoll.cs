using System.Diagnostics;
using VDiskCrypt.Interop.Linux;

namespace VDiskCrypt.Fuse;

/// <summary>
/// Looks for the next request for a moment before a worker blocks: falling asleep and being woken takes longer than
/// most requests, where one program waits for one reply after the other.
/// </summary>
/// <remarks>
/// It costs a processor, so it must earn it: a worker polls only while requests do come within that moment, one worker
/// of a session at a time, and only while no other task waits for a processor. An idle mount polls for one moment and stops.
/// </remarks>
internal sealed class ShortPoll : IDisposable
{
    /// <summary>Falling asleep and waking take about this long, twice over.</summary>
    private static readonly long BudgetTicks = Stopwatch.Frequency / 1_000_000 * 50;

    /// <summary>So many short waits in a row start it.</summary>
    private const int StartCount = 8;

    /// <summary>So many vain polls in a row end it.</summary>
    private const int VainLimit = 2;

    private readonly RunningTasks _tasks;
    private int _isTaken;

    private ShortPoll(RunningTasks tasks) => _tasks = tasks;

    /// <summary>Null where polling can only take time from others.</summary>
    public static ShortPoll? TryCreate() =>
        Environment.ProcessorCount > 1 && RunningTasks.TryOpen() is RunningTasks tasks ? new ShortPoll(tasks) : null;

    /// <summary>The state of one worker.</summary>
    internal struct History
    {
        public int ShortWaitCount;
        public int VainCount;
    }

    /// <summary>Polls if that has paid of late. Whether or not something came, the caller reads, which may block.</summary>
    public unsafe void Wait(int descriptor, ref History history)
    {
        if (history.ShortWaitCount < StartCount || Interlocked.CompareExchange(ref _isTaken, 1, 0) != 0)
        {
            return;
        }

        if (!_tasks.HaveAProcessorEach())
        {
            Volatile.Write(ref _isTaken, 0);
            return;
        }

        var poll = new Libc.struct_pollfd { fd = descriptor, events = Libc.POLLIN };
        long end = Stopwatch.GetTimestamp() + BudgetTicks;
        int count;
        do
        {
            count = Libc.poll(&poll, 1, 0);
        }
        while (count == 0 && Stopwatch.GetTimestamp() < end);

        Volatile.Write(ref _isTaken, 0);
        history.VainCount = count == 0 ? history.VainCount + 1 : 0;
        if (history.VainCount >= VainLimit)
        {
            history = default;
        }
    }

    /// <summary>Notes how long a read took that may have blocked.</summary>
    public static void Learn(long startTimestamp, ref History history)
    {
        if (history.ShortWaitCount < StartCount)
        {
            history.ShortWaitCount = Stopwatch.GetTimestamp() - startTimestamp < BudgetTicks ? history.ShortWaitCount + 1 : 0;
        }
    }

    public void Dispose() => _tasks.Dispose();
}
