namespace VDiskCrypt.Core;

/// <summary>
/// A random-access store of bytes: an image, a partition, a decrypted volume. Synchronous and thread-safe: any number
/// of threads may call at once; overlapping concurrent writes leave either's bytes, per 512-byte unit.
/// </summary>
/// <remarks>
/// Any byte range inside <see cref="ByteLength"/> may be asked for; ranges aligned to <see cref="BlockByteSize"/> are the
/// fast path (others may cost a read-modify-write). All failures are <see cref="VDiskException"/>: a request outside the
/// device is <see cref="FailureKind.Internal"/>, a write to a read-only device <see cref="FailureKind.ReadOnly"/>.
/// A write counts as durable only after <see cref="Flush"/> returned, or when it was made with forceUnitAccess.
/// </remarks>
public interface IBlockDevice : IDisposable
{
    /// <summary>The size in bytes.</summary>
    long ByteLength { get; }

    /// <summary>The preferred unit in bytes, a power of two from 512 up.</summary>
    int BlockByteSize { get; }

    /// <summary>Whether writes are refused.</summary>
    bool IsReadOnly { get; }

    /// <summary>Fills all of <paramref name="destination"/>.</summary>
    void Read(long byteOffset, Span<byte> destination);

    /// <summary>Writes all of <paramref name="source"/>. With <paramref name="forceUnitAccess"/> it is durable on return.</summary>
    void Write(long byteOffset, ReadOnlySpan<byte> source, bool forceUnitAccess = false);

    /// <summary>Returns when every write that was acknowledged before the call is durable on the host's medium.</summary>
    void Flush();

    /// <summary>
    /// Says that the range holds nothing of value: afterwards reads of it give any bytes. A hint: devices that cannot
    /// or may not (see the header's allow-discards flag) do nothing.
    /// </summary>
    void Discard(long byteOffset, long byteCount);

    /// <summary>Makes the range read as zeros, by the cheapest way that the device has.</summary>
    void WriteZeroes(long byteOffset, long byteCount);
}
