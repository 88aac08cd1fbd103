using Microsoft.Win32.SafeHandles;
using VDiskCrypt.Core;
using Xunit;

namespace VDiskCrypt.Luks.Tests;

/// <summary>
/// A raw image file, for images that real tools read as well. Open only while it is used: .NET holds a shared flock on
/// every open file, and cryptsetup waits for it before it writes.
/// </summary>
internal sealed class FileDevice : IBlockDevice
{
    private readonly string _path;

    public FileDevice(string path, long? createByteLength = null)
    {
        _path = path;
        if (createByteLength is long length)
        {
            using FileStream file = File.Create(path);
            file.SetLength(length);
        }
    }

    public long ByteLength => new FileInfo(_path).Length;

    public int BlockByteSize => 512;

    public bool IsReadOnly => false;

    public void Read(long byteOffset, Span<byte> destination)
    {
        using SafeFileHandle handle = Open();
        Assert.Equal(destination.Length, RandomAccess.Read(handle, destination, byteOffset));
    }

    public void Write(long byteOffset, ReadOnlySpan<byte> source, bool forceUnitAccess = false)
    {
        using SafeFileHandle handle = Open();
        RandomAccess.Write(handle, source, byteOffset);
    }

    public void Flush()
    {
    }

    public void Discard(long byteOffset, long byteCount)
    {
    }

    public void WriteZeroes(long byteOffset, long byteCount) => Write(byteOffset, new byte[byteCount]);

    public void Dispose()
    {
    }

    private SafeFileHandle Open() => File.OpenHandle(_path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
}
