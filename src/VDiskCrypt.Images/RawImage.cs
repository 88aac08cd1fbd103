using VDiskCrypt.Core;

namespace VDiskCrypt.Images;

/// <summary>
/// The bytes of a file as a device: a raw image, a block device of the host, or, with a shorter length, the data in
/// front of the footer of a fixed VHD ([VHD] "Hard Disk Footer Format").
/// </summary>
public sealed class RawImage : IBlockDevice
{
    private readonly IHostFile _file;

    /// <summary>The whole of <paramref name="file"/>, which Dispose closes.</summary>
    public RawImage(IHostFile file, int sectorByteSize = 512)
        : this(file, file.ByteLength, sectorByteSize)
    {
    }

    internal RawImage(IHostFile file, long byteLength, int sectorByteSize)
    {
        _file = file;
        ByteLength = byteLength;
        BlockByteSize = sectorByteSize;
    }

    public long ByteLength { get; }

    public int BlockByteSize { get; }

    public bool IsReadOnly => _file.IsReadOnly;

    public void Read(long byteOffset, Span<byte> destination)
    {
        DeviceRange.Check(byteOffset, destination.Length, ByteLength, _file.Name);
        _file.Read(byteOffset, destination);
    }

    public void Write(long byteOffset, ReadOnlySpan<byte> source, bool forceUnitAccess = false)
    {
        DeviceRange.CheckWritable(IsReadOnly, _file.Name);
        DeviceRange.Check(byteOffset, source.Length, ByteLength, _file.Name);
        _file.Write(byteOffset, source, forceUnitAccess);
    }

    public void Flush() => _file.Flush();

    public void Discard(long byteOffset, long byteCount)
    {
        DeviceRange.CheckWritable(IsReadOnly, _file.Name);
        DeviceRange.Check(byteOffset, byteCount, ByteLength, _file.Name);
        _file.PunchHole(byteOffset, byteCount);
    }

    public void WriteZeroes(long byteOffset, long byteCount)
    {
        DeviceRange.CheckWritable(IsReadOnly, _file.Name);
        DeviceRange.Check(byteOffset, byteCount, ByteLength, _file.Name);
        _file.ZeroRange(byteOffset, byteCount);
    }

    /// <summary>Flushes what is not yet durable and closes the file.</summary>
    public void Dispose()
    {
        try
        {
            if (!IsReadOnly)
            {
                _file.Flush();
            }
        }
        finally
        {
            _file.Dispose();
        }
    }
}
