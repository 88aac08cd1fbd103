using System.Runtime.InteropServices;

namespace VDiskCrypt.Interop.Windows;

/// <summary>Sparse files: DeviceIoControl with the FSCTL codes of winioctl.h.</summary>
public static unsafe partial class Kernel32
{
    public const uint FSCTL_SET_SPARSE = 0x000900C4;
    public const uint FSCTL_SET_ZERO_DATA = 0x000980C8;

    [LibraryImport(Library, SetLastError = true)]
    [return: MarshalAs(UnmanagedType.Bool)]
    public static partial bool DeviceIoControl(
        SafeHandle device, uint controlCode, void* input, uint inputByteSize, void* output, uint outputByteSize,
        uint* returnedByteCount, void* overlapped);

    /// <summary>FILE_ZERO_DATA_INFORMATION: the range from the first offset up to, not with, the second.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct FILE_ZERO_DATA_INFORMATION
    {
        public long FileOffset;
        public long BeyondFinalZero;
    }
}
