using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using VDiskCrypt.Interop.Linux;

namespace VDiskCrypt.Core;

/// <summary>What a process does to itself before it holds keys, and to become a daemon; nothing of it exists on Windows.</summary>
public static class HostProcess
{
    private const int FirstOtherDescriptor = 3;

    /// <summary>No core dump, and no other process of this user may attach (PR_SET_DUMPABLE 0).</summary>
    public static void ForbidDumps()
    {
        if (!OperatingSystem.IsWindows())
        {
            Libc.prctl(Libc.PR_SET_DUMPABLE, 0, 0, 0, 0);
        }
    }

    /// <summary>Keeps descriptors that a script left open from being inherited by a daemon that outlives the script.</summary>
    public static void CloseOthersOnExecute()
    {
        if (!OperatingSystem.IsWindows())
        {
            Libc.close_range(FirstOtherDescriptor, uint.MaxValue, Libc.CLOSE_RANGE_CLOEXEC);
        }
    }

    /// <summary>
    /// Fills standard descriptors that were closed by whoever started the process. Otherwise the next file to be opened, an
    /// image among them, gets the number 1 or 2, and a message to the user is written over its first bytes. Input ends at
    /// once, results fail (they must not vanish unnoticed), messages are lost. To be called before anything is opened.
    /// </summary>
    public static void FillStandardDescriptors()
    {
        const int output = 1;
        int fd = 0;
        while (!OperatingSystem.IsWindows() && fd >= 0 && fd < FirstOtherDescriptor)
        {
            // open(2) gives the lowest free number, so a first try tells which one is free.
            fd = Libc.open("/dev/null", Libc.O_RDWR, 0);
            if (fd == output)
            {
                Libc.close(fd);
                fd = Libc.open("/dev/null", Libc.O_RDONLY, 0);
            }
        }

        if (fd >= FirstOtherDescriptor)
        {
            Libc.close(fd);
        }
    }

    /// <summary>A session of its own: no terminal, no hang-up with the shell that started it.</summary>
    public static void StartSession()
    {
        if (!OperatingSystem.IsWindows())
        {
            Libc.setsid();
        }
    }

    /// <summary>Makes a standard descriptor (0, 1, 2) another name of <paramref name="file"/>.</summary>
    public static void Redirect(int descriptor, SafeFileHandle file)
    {
        if (!OperatingSystem.IsWindows() && Libc.dup2((int)file.DangerousGetHandle(), descriptor) < 0)
        {
            throw new VDiskException(FailureKind.InputOutput, Marshal.GetLastPInvokeErrorMessage(), $"file descriptor {descriptor}");
        }
    }
}
