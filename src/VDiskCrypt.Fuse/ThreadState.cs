using Microsoft.Win32.SafeHandles;

namespace VDiskCrypt.Fuse;

/// <summary>What a thread of this process does, by proc(5).</summary>
internal static class ThreadState
{
    /// <summary>Whether it runs or waits for a processor; false when it sleeps, or the kernel does not say.</summary>
    public static bool IsRunnable(int threadId)
    {
        try
        {
            using SafeFileHandle file = File.OpenHandle($"/proc/self/task/{threadId}/stat");
            Span<byte> text = stackalloc byte[128];
            return ParseState(text[..RandomAccess.Read(file, text, 0)]) == 'R';
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    /// <summary>The state of a line as "12 (a name) S 1 ...", whose name may hold anything; 0 if it is none.</summary>
    internal static char ParseState(ReadOnlySpan<byte> line)
    {
        int end = line.LastIndexOf((byte)')');
        return end >= 0 && end + 2 < line.Length ? (char)line[end + 2] : '\0';
    }
}
