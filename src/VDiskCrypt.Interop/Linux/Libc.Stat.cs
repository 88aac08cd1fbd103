using System.Runtime.InteropServices;

namespace VDiskCrypt.Interop.Linux;

/// <summary>struct statx of statx(2), the part up to the device numbers; 256 bytes in all.</summary>
[StructLayout(LayoutKind.Explicit, Size = 256)]
public struct statx_t
{
    [FieldOffset(0)] public uint stx_mask;
    [FieldOffset(16)] public uint stx_nlink;
    [FieldOffset(20)] public uint stx_uid;
    [FieldOffset(24)] public uint stx_gid;
    [FieldOffset(28)] public ushort stx_mode;
    [FieldOffset(32)] public ulong stx_ino;
    [FieldOffset(40)] public ulong stx_size;
    [FieldOffset(64)] public statx_timestamp stx_atime;
    [FieldOffset(112)] public statx_timestamp stx_mtime;
    [FieldOffset(128)] public uint stx_rdev_major;
    [FieldOffset(132)] public uint stx_rdev_minor;
    [FieldOffset(136)] public uint stx_dev_major;
    [FieldOffset(140)] public uint stx_dev_minor;
}

/// <summary>struct statx_timestamp of statx(2).</summary>
[StructLayout(LayoutKind.Explicit, Size = 16)]
public struct statx_timestamp
{
    [FieldOffset(0)] public long tv_sec;
    [FieldOffset(8)] public uint tv_nsec;
}

/// <summary>struct timespec of a 64-bit system.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct timespec_t
{
    public long tv_sec;
    public long tv_nsec;
}

public static unsafe partial class Libc
{
    public const int AT_FDCWD = -100;
    public const int AT_SYMLINK_NOFOLLOW = 0x100;

    [LibraryImport(Library, SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int statx(int directory, string path, int flags, uint mask, out statx_t result);

    [LibraryImport(Library, SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int utimensat(int directory, string path, timespec_t* accessAndModifyTime, int flags);
}
