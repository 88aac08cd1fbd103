namespace VDiskCrypt.Images.Vhdx;

/// <summary>Takes the changes of a log: the file itself, or a view of it in memory.</summary>
internal interface IVhdxReplayTarget
{
    /// <summary>4096 bytes at a multiple of 4096.</summary>
    void WriteSector(long fileOffset, ReadOnlySpan<byte> sector);

    void Zero(long fileOffset, long byteCount);

    /// <summary>The file is to be at least this long.</summary>
    void Grow(long fileByteLength);
}
