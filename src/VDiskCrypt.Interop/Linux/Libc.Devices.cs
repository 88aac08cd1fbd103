using System.Runtime.InteropServices;

namespace VDiskCrypt.Interop.Linux;

/// <summary>Character devices: open(2) without a mode, read(2), write(2), ioctl(2), poll(2).</summary>
public static unsafe partial class Libc
{
    public const short POLLIN = 1;

    /// <summary>open(2) of something that exists.</summary>
    [LibraryImport(Library, SetLastError = true, StringMarshalling = StringMarshalling.Utf8, EntryPoint = "open")]
    public static partial int open_device(string path, DeviceOpenFlags flags);

    [LibraryImport(Library, SetLastError = true)]
    public static partial nint read(int fd, byte* buffer, nuint count);

    [LibraryImport(Library, SetLastError = true)]
    public static partial nint write(int fd, byte* buffer, nuint count);

    [LibraryImport(Library, SetLastError = true, EntryPoint = "ioctl")]
    public static partial int ioctl_device(int fd, nuint request, uint* value);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int poll(struct_pollfd* descriptors, nuint count, int timeoutMs);

    /// <summary>struct pollfd.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct struct_pollfd
    {
        public int fd;
        public short events;
        public short revents;
    }
}
