using System.Numerics;
using VDiskCrypt.Core;

namespace VDiskCrypt.Images;

/// <summary>
/// An image that keeps its data in blocks placed anywhere in the file, with a table (BAT) from block number to place:
/// dynamic VHD and VHDX. This part splits requests by block; the format says where a block is.
/// </summary>
/// <remarks>
/// Threads: reads take no lock: a table entry is read once, and a block's place never changes while the image is open.
/// A write into a block without a place allocates it under a short lock, with no data I/O inside, and publishes the
/// place before any data is in it. Fresh space reads as zeros, so a concurrent write to the same block just finds the
/// place and writes its own bytes there.
/// </remarks>
internal abstract partial class BlockMappedImage : IBlockDevice
{
    /// <summary>What <see cref="DataOffset"/> says of a block that has no place in the file: it reads as zeros.</summary>
    protected const long NoPlace = 0;

    private readonly int _blockShift;
    private readonly int _mapBlockByteSize;
    private bool _isDisposed;

    protected BlockMappedImage(IHostFile file, long byteLength, int mapBlockByteSize, int sectorByteSize)
    {
        File = file;
        ByteLength = byteLength;
        BlockByteSize = sectorByteSize;
        _mapBlockByteSize = mapBlockByteSize;
        _blockShift = BitOperations.Log2((uint)mapBlockByteSize);
    }

    public long ByteLength { get; }

    public int BlockByteSize { get; }

    public bool IsReadOnly => File.IsReadOnly;

    /// <summary>What was found wrong at open and could be got over, for the user to read.</summary>
    public List<string> Notices { get; } = [];

    protected IHostFile File { get; }

    protected int MapBlockByteSize => _mapBlockByteSize;

    public void Read(long byteOffset, Span<byte> destination)
    {
        DeviceRange.Check(byteOffset, destination.Length, ByteLength, File.Name);
        while (!destination.IsEmpty)
        {
            (int block, int within, int byteCount) = FirstPart(byteOffset, destination.Length);
            Span<byte> part = destination[..byteCount];
            long dataOffset = DataOffset(block);
            if (dataOffset == NoPlace)
            {
                part.Clear();
            }
            else
            {
                ReadPlaced(block, dataOffset, within, part);
            }

            destination = destination[byteCount..];
            byteOffset += byteCount;
        }
    }

    public void Write(long byteOffset, ReadOnlySpan<byte> source, bool forceUnitAccess = false)
    {
        DeviceRange.CheckWritable(IsReadOnly, File.Name);
        DeviceRange.Check(byteOffset, source.Length, ByteLength, File.Name);
        PrepareFirstWrite();
        bool needsFlush = false;
        while (!source.IsEmpty)
        {
            (int block, int within, int byteCount) = FirstPart(byteOffset, source.Length);
            long dataOffset = PlaceForWrite(block);

            // Read after the place: 0 then means that this block's table entry is durable, so the data alone counts.
            bool direct = forceUnitAccess && Volatile.Read(ref _undurableCount) == 0;
            needsFlush |= forceUnitAccess && !direct;
            File.Write(dataOffset + within, source[..byteCount], direct);
            FlushIfManyPending();
            source = source[byteCount..];
            byteOffset += byteCount;
        }

        if (needsFlush)
        {
            Flush();
        }
    }

    public void Discard(long byteOffset, long byteCount)
    {
        DeviceRange.CheckWritable(IsReadOnly, File.Name);
        DeviceRange.Check(byteOffset, byteCount, ByteLength, File.Name);
        PrepareFirstWrite();
        for (long end = byteOffset + byteCount; byteOffset < end;)
        {
            (int block, int within, int partCount) = FirstPart(byteOffset, end - byteOffset);
            long dataOffset = DataOffset(block);
            if (dataOffset != NoPlace)
            {
                // The block keeps its place: the host takes the space back and no table entry has to change.
                File.PunchHole(dataOffset + within, partCount);
            }

            byteOffset += partCount;
        }
    }

    public void WriteZeroes(long byteOffset, long byteCount)
    {
        DeviceRange.CheckWritable(IsReadOnly, File.Name);
        DeviceRange.Check(byteOffset, byteCount, ByteLength, File.Name);
        PrepareFirstWrite();
        for (long end = byteOffset + byteCount; byteOffset < end;)
        {
            (int block, int within, int partCount) = FirstPart(byteOffset, end - byteOffset);
            if (DataOffset(block) == NoPlace)
            {
                ZeroUnplaced(block);
            }
            else
            {
                File.ZeroRange(PlaceForWrite(block) + within, partCount);
            }

            byteOffset += partCount;
        }
    }

    /// <summary>Makes everything durable, leaves the image as a clean one, and closes the file.</summary>
    public void Dispose()
    {
        if (_isDisposed)
        {
            return;
        }

        _isDisposed = true;
        try
        {
            if (Volatile.Read(ref _hasWritten))
            {
                Flush();
                CloseCleanly();
            }
        }
        finally
        {
            File.Dispose();
        }
    }

    /// <summary>The file offset of the block's data, or <see cref="NoPlace"/>.</summary>
    protected abstract long DataOffset(int block);

    /// <summary>Reads from a block that has a place.</summary>
    protected virtual void ReadPlaced(int block, long dataOffset, int within, Span<byte> destination) =>
        File.Read(dataOffset + within, destination);

    /// <summary>Called before the first write, once, before anything else of the file changes.</summary>
    protected virtual void MarkFileWritten()
    {
    }

    /// <summary>Called before each write to a block that had a place already.</summary>
    protected virtual void PreparePlaced(int block)
    {
    }

    /// <summary>Called at the end, everything being durable.</summary>
    protected virtual void CloseCleanly()
    {
    }

    private (int Block, int Within, int ByteCount) FirstPart(long byteOffset, long byteCount)
    {
        int within = (int)(byteOffset & (_mapBlockByteSize - 1));
        return ((int)(byteOffset >> _blockShift), within, (int)Math.Min(byteCount, _mapBlockByteSize - within));
    }
}
