using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using VDiskCrypt.Interop.Linux;

namespace VDiskCrypt.Core;

/// <summary>Folders of the host.</summary>
public static class HostFolder
{
    /// <summary>Makes created, renamed and removed names of a folder durable (fsync of the folder; nothing to do on Windows).</summary>
    public static void Flush(string folder)
    {
        if (OperatingSystem.IsWindows())
        {
            return;
        }

        int fd = Libc.open_path(folder, Libc.O_RDONLY | Libc.O_DIRECTORY | Libc.O_CLOEXEC);
        if (fd < 0)
        {
            throw new VDiskException(FailureKind.InputOutput, Marshal.GetLastPInvokeErrorMessage(), folder);
        }

        using var handle = new SafeFileHandle(fd, ownsHandle: true);
        RandomAccess.FlushToDisk(handle);
    }
}
