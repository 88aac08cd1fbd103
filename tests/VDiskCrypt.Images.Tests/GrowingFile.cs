using VDiskCrypt.Core;

namespace VDiskCrypt.Images.Tests;

/// <summary>A file in which something happens, once, right after a flush: what another thread may do then.</summary>
internal sealed class GrowingFile(IHostFile file) : IHostFile
{
    public Action? AfterFlush { get; set; }

    public string Name => file.Name;

    public bool IsReadOnly => file.IsReadOnly;

    public long ByteLength => file.ByteLength;

    public void Read(long byteOffset, Span<byte> destination) => file.Read(byteOffset, destination);

    public void Write(long byteOffset, ReadOnlySpan<byte> source, bool forceUnitAccess = false) =>
        file.Write(byteOffset, source, forceUnitAccess);

    public void Flush()
    {
        file.Flush();
        Action? after = AfterFlush;
        AfterFlush = null;
        after?.Invoke();
    }

    public void SetLength(long byteLength) => file.SetLength(byteLength);

    public void PunchHole(long byteOffset, long byteCount) => file.PunchHole(byteOffset, byteCount);

    public void ZeroRange(long byteOffset, long byteCount) => file.ZeroRange(byteOffset, byteCount);

    public void Dispose() => file.Dispose();
}
