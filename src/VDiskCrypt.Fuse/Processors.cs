using System.Globalization;
using VDiskCrypt.Interop.Linux;

namespace VDiskCrypt.Fuse;

/// <summary>The machine's processors, and on which of them a thread runs.</summary>
internal static unsafe class Processors
{
    private const string PossibleFile = "/sys/devices/system/cpu/possible";

    /// <summary>More than Linux can have.</summary>
    private const int MaximumCount = Libc.CpuSetByteCount * 8;

    /// <summary>How many there may ever be, offline ones included: the kernel's num_possible_cpus(); 0 if unknown.</summary>
    public static int PossibleCount()
    {
        try
        {
            return Count(File.ReadAllText(PossibleFile));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return 0;
        }
    }

    /// <summary>Counts a list as "0-3,8"; 0 if it is not one.</summary>
    public static int Count(string list)
    {
        int count = 0;
        foreach (string range in list.Trim().Split(','))
        {
            string[] ends = range.Split('-');
            if (ends.Length > 2
                || !int.TryParse(ends[0], NumberStyles.None, CultureInfo.InvariantCulture, out int first)
                || !int.TryParse(ends[^1], NumberStyles.None, CultureInfo.InvariantCulture, out int last)
                || last < first || last >= MaximumCount)
            {
                return 0;
            }

            count += last - first + 1;
        }

        return count;
    }

    /// <summary>Keeps the calling thread on one processor; false where that is offline or not for this process.</summary>
    public static bool TryPin(int processor)
    {
        byte* mask = stackalloc byte[Libc.CpuSetByteCount];
        new Span<byte>(mask, Libc.CpuSetByteCount).Clear();
        mask[processor / 8] = (byte)(1 << (processor % 8));
        return Libc.sched_setaffinity(0, Libc.CpuSetByteCount, mask) == 0;
    }

    /// <summary>Does something on one processor, then lets the calling thread run where it could before.</summary>
    /// <returns>False where the thread may not run there; then nothing was done.</returns>
    public static bool TryRunOn(int processor, Action action)
    {
        byte* mask = stackalloc byte[Libc.CpuSetByteCount];
        if (Libc.sched_getaffinity(0, Libc.CpuSetByteCount, mask) != 0 || !TryPin(processor))
        {
            return false;
        }

        action();
        _ = Libc.sched_setaffinity(0, Libc.CpuSetByteCount, mask);
        return true;
    }
}
