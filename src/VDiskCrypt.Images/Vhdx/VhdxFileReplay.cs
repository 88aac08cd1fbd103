using VDiskCrypt.Core;

namespace VDiskCrypt.Images.Vhdx;

/// <summary>Replays a log into the file.</summary>
internal sealed class VhdxFileReplay(IHostFile file) : IVhdxReplayTarget
{
    public void WriteSector(long fileOffset, ReadOnlySpan<byte> sector) => file.Write(fileOffset, sector);

    public void Zero(long fileOffset, long byteCount) => file.ZeroRange(fileOffset, byteCount);

    public void Grow(long fileByteLength)
    {
        // 2.2: the file's length is a whole number of MiB.
        long rounded = (fileByteLength + VhdxFormat.Mebibyte - 1) / VhdxFormat.Mebibyte * VhdxFormat.Mebibyte;
        if (file.ByteLength < rounded)
        {
            file.SetLength(rounded);
        }
    }
}
