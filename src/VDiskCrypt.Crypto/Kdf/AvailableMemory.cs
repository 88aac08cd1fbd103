using System.Globalization;

namespace VDiskCrypt.Crypto;

/// <summary>
/// How much memory a key derivation may take now: the least of what the host has available (MemAvailable of
/// /proc/meminfo) and what is left under every control group above this process (memory.max of version 2,
/// memory.limit_in_bytes of version 1). Overcommit lets an allocation succeed that later ends in the OOM killer, so the
/// limits are read before.
/// </summary>
internal static class AvailableMemory
{
    /// <summary>More levels of control groups than this are not climbed.</summary>
    private const int MostGroupLevels = 64;

    /// <summary>Bytes; <see cref="long.MaxValue"/> where nothing is known.</summary>
    public static long Measure() => OperatingSystem.IsLinux() ? MeasureLinux("/") : MeasureRuntime();

    /// <summary>Bytes of memory that the machine (or its control group) has in all.</summary>
    public static long Total() => GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;

    internal static long MeasureLinux(string root)
    {
        long available = ReadField(Path.Combine(root, "proc/meminfo"), "MemAvailable:") is long kiB
            ? kiB * 1024
            : long.MaxValue;
        foreach (string line in ReadLines(Path.Combine(root, "proc/self/cgroup")))
        {
            // hierarchy-ID:controller-list:path; an empty list is version 2 (cgroups(7))
            string[] parts = line.Split(':', 3);
            if (parts.Length != 3)
            {
                continue;
            }

            if (parts[1].Length == 0)
            {
                available = Math.Min(available, LeftUnder(Path.Combine(root, "sys/fs/cgroup"), parts[2], version2: true));
                available = Math.Min(available, LeftUnder(Path.Combine(root, "sys/fs/cgroup/unified"), parts[2], version2: true));
            }
            else if (parts[1].Split(',').Contains("memory"))
            {
                available = Math.Min(available, LeftUnder(Path.Combine(root, "sys/fs/cgroup/memory"), parts[2], version2: false));
            }
        }

        return available;
    }

    private static long MeasureRuntime()
    {
        GCMemoryInfo info = GC.GetGCMemoryInfo();
        return Math.Max(info.TotalAvailableMemoryBytes - info.MemoryLoadBytes, 0);
    }

    /// <summary>From the group of the process up to the mount; inside a container the path may only exist outside.</summary>
    private static long LeftUnder(string mount, string group, bool version2)
    {
        long left = LeftIn(mount, version2);
        string relative = group.Trim('/');
        for (int level = 0; level < MostGroupLevels && relative.Length > 0 && !relative.Contains(".."); level++)
        {
            left = Math.Min(left, LeftIn(Path.Combine(mount, relative), version2));
            int slash = relative.LastIndexOf('/');
            relative = slash < 0 ? "" : relative[..slash];
        }

        return left;
    }

    private static long LeftIn(string folder, bool version2)
    {
        long? limit = ReadNumber(Path.Combine(folder, version2 ? "memory.max" : "memory.limit_in_bytes"));
        long? usage = ReadNumber(Path.Combine(folder, version2 ? "memory.current" : "memory.usage_in_bytes"));
        if (limit is null || usage is null)
        {
            return long.MaxValue;
        }

        // Cached file pages count as used, but are given up under pressure.
        long cache = ReadField(Path.Combine(folder, "memory.stat"), version2 ? "inactive_file" : "total_inactive_file") ?? 0;
        return Math.Max(limit.Value - Math.Max(usage.Value - cache, 0), 0);
    }

    private static long? ReadNumber(string path) =>
        ReadLines(path) is [string first, ..] && long.TryParse(first, CultureInfo.InvariantCulture, out long value) ? value : null;

    private static long? ReadField(string path, string name)
    {
        foreach (string line in ReadLines(path))
        {
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words.Length >= 2 && words[0] == name && long.TryParse(words[1], CultureInfo.InvariantCulture, out long value))
            {
                return value;
            }
        }

        return null;
    }

    private static string[] ReadLines(string path)
    {
        try
        {
            return File.Exists(path) ? File.ReadAllLines(path) : [];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }
}
