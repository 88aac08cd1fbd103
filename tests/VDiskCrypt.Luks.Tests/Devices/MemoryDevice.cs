using VDiskCrypt.Core;

namespace VDiskCrypt.Luks.Tests;

/// <summary>Bytes in memory, with a log of what was done and a switch that cuts the power.</summary>
internal sealed class MemoryDevice(byte[] bytes) : IBlockDevice
{
    public MemoryDevice(long byteLength)
        : this(new byte[byteLength])
    {
    }

    public byte[] Bytes { get; } = bytes;

    public long ByteLength => Bytes.LongLength;

    public int BlockByteSize => 512;

    public bool IsReadOnly { get; init; }

    public List<string> Log { get; } = [];

    public bool IsDisposed { get; private set; }

    /// <summary>This many writes succeed; then one is cut in its middle and everything fails.</summary>
    public int WritesUntilPowerCut { get; set; } = int.MaxValue;

    /// <summary>Called between the steps of a write, to widen races.</summary>
    public Action? Dawdle { get; set; }

    public void Read(long byteOffset, Span<byte> destination)
    {
        lock (Log)
        {
            Bytes.AsSpan((int)byteOffset, destination.Length).CopyTo(destination);
        }

        Dawdle?.Invoke();
    }

    public void Write(long byteOffset, ReadOnlySpan<byte> source, bool forceUnitAccess = false)
    {
        Dawdle?.Invoke();
        lock (Log)
        {
            if (WritesUntilPowerCut-- <= 0)
            {
                source[..(source.Length / 2)].CopyTo(Bytes.AsSpan((int)byteOffset));
                WritesUntilPowerCut = 0;
                throw new VDiskException(FailureKind.InputOutput, "power cut");
            }

            source.CopyTo(Bytes.AsSpan((int)byteOffset));
            Log.Add($"{(forceUnitAccess ? "write fua" : "write")} {byteOffset} {source.Length}");
        }
    }

    public void Flush()
    {
        lock (Log)
        {
            Log.Add("flush");
        }
    }

    public void Discard(long byteOffset, long byteCount) => Log.Add($"discard {byteOffset} {byteCount}");

    public void WriteZeroes(long byteOffset, long byteCount)
    {
        Bytes.AsSpan((int)byteOffset, (int)byteCount).Clear();
        Log.Add($"zero {byteOffset} {byteCount}");
    }

    public void Dispose() => IsDisposed = true;
}
