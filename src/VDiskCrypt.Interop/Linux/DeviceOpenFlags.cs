namespace VDiskCrypt.Interop.Linux;

/// <summary>The flags of open(2) used on devices and mount points; the same on x86-64 and arm64.</summary>
[Flags]
public enum DeviceOpenFlags
{
    O_RDONLY = 0,
    O_RDWR = 2,
    O_NONBLOCK = 0x800,
    O_CLOEXEC = 0x80000,
    O_PATH = 0x200000,
}
