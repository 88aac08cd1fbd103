using Microsoft.Win32.SafeHandles;
using VDiskCrypt.Core;

namespace VDiskCrypt.Testing;

/// <summary>A plain file as a block device, so that external tools can look at what was written.</summary>
public sealed class FileDevice : IBlockDevice
{
    private readonly SafeFileHandle _file;

    /// <param name="path">Made, or cut or grown to <paramref name="byteLength"/>; an existing file's length when that is null.</param>
    public FileDevice(string path, long? byteLength = null)
    {
        _file = File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite);
        if (byteLength is not null)
        {
            RandomAccess.SetLength(_file, byteLength.Value);
        }

        ByteLength = RandomAccess.GetLength(_file);
    }

    public long ByteLength { get; }

    public int BlockByteSize => 512;

    public bool IsReadOnly { get; init; }

    public void Read(long byteOffset, Span<byte> destination)
    {
        while (destination.Length > 0)
        {
            int byteCount = RandomAccess.Read(_file, destination, byteOffset);
            ArgumentOutOfRangeException.ThrowIfZero(byteCount, "end of the device");
            destination = destination[byteCount..];
            byteOffset += byteCount;
        }
    }

    public void Write(long byteOffset, ReadOnlySpan<byte> source, bool forceUnitAccess = false)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(byteOffset + source.Length, ByteLength);
        if (IsReadOnly)
        {
            throw new VDiskException(FailureKind.ReadOnly, "the device is read-only");
        }

        RandomAccess.Write(_file, source, byteOffset);
    }

    public void Flush()
    {
    }

    public void Discard(long byteOffset, long byteCount)
    {
    }

    public void WriteZeroes(long byteOffset, long byteCount) => Write(byteOffset, new byte[byteCount]);

    public void Dispose() => _file.Dispose();
}
