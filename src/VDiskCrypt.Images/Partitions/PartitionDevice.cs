using VDiskCrypt.Core;

namespace VDiskCrypt.Images;

/// <summary>A range of another device as a device of its own.</summary>
public sealed class PartitionDevice : IBlockDevice
{
    private readonly IBlockDevice _parent;
    private readonly long _byteOffset;
    private readonly bool _ownsParent;

    /// <param name="parent">The whole disk.</param>
    /// <param name="partition">The range, which must lie inside the disk.</param>
    /// <param name="ownsParent">Whether Dispose disposes the disk as well.</param>
    public PartitionDevice(IBlockDevice parent, Partition partition, bool ownsParent = false)
    {
        DeviceRange.Check(partition.ByteOffset, partition.ByteLength, parent.ByteLength, $"partition {partition.Number}");
        _parent = parent;
        _byteOffset = partition.ByteOffset;
        _ownsParent = ownsParent;
        ByteLength = partition.ByteLength;
        Name = $"partition {partition.Number}";
    }

    public string Name { get; }

    public long ByteLength { get; }

    public int BlockByteSize => _parent.BlockByteSize;

    public bool IsReadOnly => _parent.IsReadOnly;

    public void Read(long byteOffset, Span<byte> destination)
    {
        DeviceRange.Check(byteOffset, destination.Length, ByteLength, Name);
        _parent.Read(_byteOffset + byteOffset, destination);
    }

    public void Write(long byteOffset, ReadOnlySpan<byte> source, bool forceUnitAccess = false)
    {
        DeviceRange.Check(byteOffset, source.Length, ByteLength, Name);
        _parent.Write(_byteOffset + byteOffset, source, forceUnitAccess);
    }

    public void Flush() => _parent.Flush();

    public void Discard(long byteOffset, long byteCount)
    {
        DeviceRange.Check(byteOffset, byteCount, ByteLength, Name);
        _parent.Discard(_byteOffset + byteOffset, byteCount);
    }

    public void WriteZeroes(long byteOffset, long byteCount)
    {
        DeviceRange.Check(byteOffset, byteCount, ByteLength, Name);
        _parent.WriteZeroes(_byteOffset + byteOffset, byteCount);
    }

    public void Dispose()
    {
        if (_ownsParent)
        {
            _parent.Dispose();
        }
    }
}
