using System.Runtime.InteropServices;

namespace VDiskCrypt.Interop.Linux;

public static unsafe partial class Libc
{
    public const uint CLOSE_RANGE_CLOEXEC = 4;
    public const int PR_SET_DUMPABLE = 4;

    [LibraryImport(Library, SetLastError = true)]
    public static partial int setsid();

    /// <summary>The calling thread's number, as in /proc/self/task.</summary>
    [LibraryImport(Library)]
    public static partial int gettid();

    [LibraryImport(Library, SetLastError = true)]
    public static partial int dup2(int oldFd, int newFd);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int close_range(uint first, uint last, uint flags);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int prctl(int option, nuint argument2, nuint argument3, nuint argument4, nuint argument5);
}
