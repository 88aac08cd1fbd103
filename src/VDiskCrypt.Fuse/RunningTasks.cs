using System.Diagnostics;
using Microsoft.Win32.SafeHandles;

namespace VDiskCrypt.Fuse;

/// <summary>
/// Whether a processor is free: the count of running tasks, the fourth field of /proc/loadavg, read again after a few
/// milliseconds. Allocates nothing after construction. For one thread at a time.
/// </summary>
internal sealed class RunningTasks : IDisposable
{
    private const string LoadFile = "/proc/loadavg";
    private const int TaskField = 3;
    private static readonly long IntervalTicks = Stopwatch.Frequency / 200;

    private readonly SafeFileHandle _file = File.OpenHandle(LoadFile);
    private long _nextTimestamp;
    private bool _fit;

    /// <summary>Null where there is no such file.</summary>
    public static RunningTasks? TryOpen()
    {
        try
        {
            return new RunningTasks();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Whether all tasks that want to run have a processor, the caller included.</summary>
    public bool HaveAProcessorEach()
    {
        long now = Stopwatch.GetTimestamp();
        if (now >= _nextTimestamp)
        {
            Span<byte> text = stackalloc byte[64];
            int byteCount = RandomAccess.Read(_file, text, 0);
            int runningCount = ParseRunning(text[..byteCount]);
            _fit = runningCount > 0 && runningCount <= Environment.ProcessorCount;
            _nextTimestamp = now + IntervalTicks;
        }

        return _fit;
    }

    public void Dispose() => _file.Dispose();

    /// <summary>N of a line as "0.20 0.18 0.12 N/80 11206"; 0 if it is none.</summary>
    internal static int ParseRunning(ReadOnlySpan<byte> line)
    {
        for (int field = 0; field < TaskField; field++)
        {
            int space = line.IndexOf((byte)' ');
            if (space < 0)
            {
                return 0;
            }

            line = line[(space + 1)..];
        }

        return System.Buffers.Text.Utf8Parser.TryParse(line, out int count, out _) ? count : 0;
    }
}
