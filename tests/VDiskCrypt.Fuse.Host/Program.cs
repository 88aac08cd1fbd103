using System.Globalization;
using System.Runtime.InteropServices;
using VDiskCrypt.Core;
using VDiskCrypt.Fuse;
using VDiskCrypt.Testing;

namespace VDiskCrypt.Fuse.Host;

/// <summary>
/// Serves a filesystem in memory, so that tests can mount as another user: <c>host DIR [option]...</c>. Prints READY
/// and the transport once mounted, ends when unmounted or on SIGTERM; with "stats" it then prints what it served. With
/// "stall=OFFSET:COUNT:PATH", reads of any file that touch these bytes wait while PATH exists.
/// </summary>
internal static class Program
{
    private static int Main(string[] arguments)
    {
        string[] options = arguments[1..];
        int? Number(string name) => options.Where(option => option.StartsWith(name + "=", StringComparison.Ordinal))
            .Select(option => (int?)int.Parse(option[(name.Length + 1)..], CultureInfo.InvariantCulture)).FirstOrDefault();
        var fuseOptions = new FuseOptions
        {
            ReadOnly = options.Contains("ro"),
            AllowOther = options.Contains("allow_other"),
            WritebackCache = !options.Contains("writethrough"),
            UseIoUring = !options.Contains("nouring"),
            WorkerCount = Number("workers") ?? 0,
            MaximumRequestByteCount = Number("request") ?? 1 << 20,
            SourceName = "memory, for tests",
            FailureLog = Console.Error.WriteLine,
        };
        using var fileSystem = new MemoryFileSystem(byteLimit: (long)(Number("mib") ?? 1024) << 20)
        {
            Reading = Stall(options.FirstOrDefault(option => option.StartsWith("stall=", StringComparison.Ordinal))),
        };
        try
        {
            FuseSession session = FuseSession.Mount(fileSystem, arguments[0], fuseOptions);
            using var signal = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context =>
            {
                context.Cancel = true;
                session.Unmount(lazy: true);
            });
            Console.WriteLine($"READY {session.Transport} {session.MaximumRequestByteCount}");
            session.Completion.Wait();
            Console.WriteLine(options.Contains("stats") ? $"DONE {session.GetStatistics()}" : "DONE");
            return 0;
        }
        catch (VDiskException e)
        {
            Console.Error.WriteLine($"{e.Kind}: {e.Message}; {e.Where}; {e.Remedy}");
            return 1;
        }
    }

    private static Action<ulong, long, int>? Stall(string? option)
    {
        if (option?["stall=".Length..].Split(':', 3) is not [string offset, string count, string path])
        {
            return null;
        }

        long start = long.Parse(offset, CultureInfo.InvariantCulture);
        long end = start + long.Parse(count, CultureInfo.InvariantCulture);
        return (_, byteOffset, byteCount) =>
        {
            while (byteOffset < end && byteOffset + byteCount > start && File.Exists(path))
            {
                Thread.Sleep(5);
            }
        };
    }
}
