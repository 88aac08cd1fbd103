namespace VDiskCrypt.Core;

/// <summary>
/// What an image format needs of the file it lives in: positional reads and writes, a length, and a flush that means
/// durable. Thread-safe. <see cref="HostFile"/> is the real one; tests put a recorder or a simulated disk in its place.
/// </summary>
public interface IHostFile : IDisposable
{
    /// <summary>How error messages name the file.</summary>
    string Name { get; }

    bool IsReadOnly { get; }

    /// <summary>Bytes, as the file is now.</summary>
    long ByteLength { get; }

    /// <summary>Fills all of <paramref name="destination"/>; a file that ends before is <see cref="FailureKind.Damaged"/>.</summary>
    void Read(long byteOffset, Span<byte> destination);

    /// <summary>Writes all of <paramref name="source"/>, growing the file where needed.</summary>
    void Write(long byteOffset, ReadOnlySpan<byte> source, bool forceUnitAccess = false);

    /// <summary>Returns when everything written before, the length included, is durable.</summary>
    void Flush();

    /// <summary>Cuts or grows the file; growth reads as zeros.</summary>
    void SetLength(long byteLength);

    /// <summary>Gives the range back to the host where it can; afterwards it reads as zeros or as before.</summary>
    void PunchHole(long byteOffset, long byteCount);

    /// <summary>Makes the range, which lies inside the file, read as zeros.</summary>
    void ZeroRange(long byteOffset, long byteCount);
}
