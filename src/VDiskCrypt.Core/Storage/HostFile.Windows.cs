using Microsoft.Win32.SafeHandles;
using VDiskCrypt.Interop.Windows;

namespace VDiskCrypt.Core;

/// <summary>The Windows side: the runtime's positional I/O, and FSCTLs for sparse files.</summary>
public sealed unsafe partial class HostFile
{
    private static HostFile OpenWindows(string path, HostFileMode mode) => Translated(path, () =>
    {
        bool isReadOnly = mode == HostFileMode.ReadOnly;
        SafeFileHandle handle = File.OpenHandle(
            path,
            mode == HostFileMode.CreateNew ? FileMode.CreateNew : FileMode.Open,
            isReadOnly ? FileAccess.Read : FileAccess.ReadWrite,
            isReadOnly ? FileShare.Read : FileShare.None,
            FileOptions.RandomAccess);
        if (mode == HostFileMode.CreateNew)
        {
            // Without it a fixed image takes its whole size at once; a filesystem without sparse files does just that.
            uint returned;
            Kernel32.DeviceIoControl(handle, Kernel32.FSCTL_SET_SPARSE, null, 0, null, 0, &returned, null);
        }

        return new HostFile(path, handle, isReadOnly);
    });

    private long WindowsLength() => Translated(Name, () => RandomAccess.GetLength(_handle));

    private nint ReadWindows(long byteOffset, Span<byte> destination)
    {
        try
        {
            return RandomAccess.Read(_handle, destination, byteOffset);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw HostError.FromException(failure, Name);
        }
    }

    private void WriteWindows(long byteOffset, ReadOnlySpan<byte> source, bool forceUnitAccess)
    {
        try
        {
            RandomAccess.Write(_handle, source, byteOffset);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw HostError.FromException(failure, Name);
        }

        if (forceUnitAccess)
        {
            Flush();
        }
    }

    private void FlushWindows() => Translated(Name, () =>
    {
        RandomAccess.FlushToDisk(_handle);
        return true;
    });

    private void SetLengthWindows(long byteLength) => Translated(Name, () =>
    {
        RandomAccess.SetLength(_handle, byteLength);
        return true;
    });

    private bool TryZeroWindows(long byteOffset, long byteCount)
    {
        var range = new Kernel32.FILE_ZERO_DATA_INFORMATION
        {
            FileOffset = byteOffset,
            BeyondFinalZero = checked(byteOffset + byteCount),
        };
        uint returned;
        return Kernel32.DeviceIoControl(
            _handle, Kernel32.FSCTL_SET_ZERO_DATA, &range, (uint)sizeof(Kernel32.FILE_ZERO_DATA_INFORMATION), null, 0,
            &returned, null);
    }

    private static T Translated<T>(string name, Func<T> action)
    {
        try
        {
            return action();
        }
        catch (Exception failure) when (failure is IOException and not VDiskException or UnauthorizedAccessException)
        {
            throw HostError.FromException(failure, name);
        }
    }
}
