using VDiskCrypt.Core;

namespace VDiskCrypt.Images.Vhdx;

/// <summary>
/// A file as it will be after its log is replayed, without changing it: for opening read-only, and for checking what a
/// replay brings in before it is made. The changed sectors are held in memory, at most as many as the log has.
/// </summary>
internal sealed class VhdxReplayedView(IHostFile file) : IHostFile, IVhdxReplayTarget
{
    private const int Sector = VhdxFormat.LogSectorByteSize;

    /// <summary>Each read looks at all of them. Known writers clear a table with one.</summary>
    private const int LargestZeroRangeCount = 16384;

    private readonly Dictionary<long, byte[]> _sectors = [];
    private readonly List<(long Start, long End)> _zeroRanges = [];
    private long _byteLength = file.ByteLength;

    public string Name => file.Name;

    public bool IsReadOnly => true;

    public long ByteLength => _byteLength;

    public void WriteSector(long fileOffset, ReadOnlySpan<byte> sector) => _sectors[fileOffset] = sector.ToArray();

    public void Zero(long fileOffset, long byteCount)
    {
        if (_zeroRanges.Count == LargestZeroRangeCount)
        {
            throw VDiskException.Unsupported(
                "VHDX log", $"more than {LargestZeroRangeCount} zeroed ranges");
        }

        // A sector that is written later shows again, one written before does not.
        List<long> hidden = [.. _sectors.Keys.Where(offset => offset >= fileOffset && offset < fileOffset + byteCount)];
        hidden.ForEach(offset => _sectors.Remove(offset));
        _zeroRanges.Add((fileOffset, fileOffset + byteCount));
    }

    public void Grow(long fileByteLength) => _byteLength = Math.Max(_byteLength, fileByteLength);

    public void Read(long byteOffset, Span<byte> destination)
    {
        if (byteOffset > _byteLength - destination.Length)
        {
            throw VDiskException.Damaged(Name, _byteLength, "the file ends too early", "restore the missing end from a copy");
        }

        int inFile = (int)Math.Clamp(file.ByteLength - byteOffset, 0, destination.Length);
        file.Read(byteOffset, destination[..inFile]);
        destination[inFile..].Clear();
        long end = byteOffset + destination.Length;
        foreach ((long zeroStart, long zeroEnd) in _zeroRanges)
        {
            long from = Math.Max(zeroStart, byteOffset);
            long to = Math.Min(zeroEnd, end);
            if (from < to)
            {
                destination[(int)(from - byteOffset)..(int)(to - byteOffset)].Clear();
            }
        }

        for (long sectorOffset = byteOffset / Sector * Sector; sectorOffset < end; sectorOffset += Sector)
        {
            if (_sectors.TryGetValue(sectorOffset, out byte[]? sector))
            {
                int from = (int)Math.Max(byteOffset - sectorOffset, 0);
                int to = (int)Math.Min(end - sectorOffset, Sector);
                sector.AsSpan(from..to).CopyTo(destination[(int)(sectorOffset + from - byteOffset)..]);
            }
        }
    }

    public void Write(long byteOffset, ReadOnlySpan<byte> source, bool forceUnitAccess = false) => throw ReadOnlyFailure();

    public void Flush()
    {
    }

    public void SetLength(long byteLength) => throw ReadOnlyFailure();

    public void PunchHole(long byteOffset, long byteCount) => throw ReadOnlyFailure();

    public void ZeroRange(long byteOffset, long byteCount) => throw ReadOnlyFailure();

    public void Dispose() => file.Dispose();

    private VDiskException ReadOnlyFailure() =>
        new(FailureKind.ReadOnly, "the image is open for reading only", Name, "open it for writing");
}
