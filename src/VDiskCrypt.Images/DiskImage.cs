using VDiskCrypt.Core;

namespace VDiskCrypt.Images;

/// <summary>
/// An open image file as the disk in it, locked against other processes until Dispose, which makes everything durable,
/// leaves the image as a clean one and closes the file.
/// </summary>
public sealed class DiskImage : IBlockDevice
{
    private readonly IBlockDevice _device;
    private readonly ImageLock _lock;

    internal DiskImage(IBlockDevice device, HostFile file, ImageLock imageLock, ImageFormat format, IReadOnlyList<string> notices)
    {
        _device = device;
        _lock = imageLock;
        File = file;
        Format = format;
        Notices = notices;
    }

    /// <summary>The file underneath, for the header lock; the image owns it.</summary>
    public HostFile File { get; }

    public ImageFormat Format { get; }

    /// <summary>What was wrong and could be got over, for the user to read.</summary>
    public IReadOnlyList<string> Notices { get; }

    public long ByteLength => _device.ByteLength;

    public int BlockByteSize => _device.BlockByteSize;

    public bool IsReadOnly => _device.IsReadOnly;

    public void Read(long byteOffset, Span<byte> destination) => _device.Read(byteOffset, destination);

    public void Write(long byteOffset, ReadOnlySpan<byte> source, bool forceUnitAccess = false) =>
        _device.Write(byteOffset, source, forceUnitAccess);

    public void Flush() => _device.Flush();

    public void Discard(long byteOffset, long byteCount) => _device.Discard(byteOffset, byteCount);

    public void WriteZeroes(long byteOffset, long byteCount) => _device.WriteZeroes(byteOffset, byteCount);

    public void Dispose()
    {
        try
        {
            _device.Dispose();
        }
        finally
        {
            // Closing the file gave the locks up; where the device failed to close it, this does.
            _lock.Dispose();
            File.Dispose();
        }
    }
}
