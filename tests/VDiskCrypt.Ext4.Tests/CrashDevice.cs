using System.Buffers.Binary;
using VDiskCrypt.Core;
using Xunit;

namespace VDiskCrypt.Ext4.Tests;

/// <summary>One thing that a device was told; a flush has no bytes.</summary>
internal readonly record struct DeviceChange(long ByteOffset, byte[]? Bytes, bool IsDurable)
{
    public static readonly DeviceChange Flush = new(0, null, false);

    public bool IsFlush => Bytes is null;

    /// <summary>A commit block of the journal.</summary>
    public bool IsCommitBlock => BlockType == 2;

    /// <summary>The superblock of the journal.</summary>
    public bool IsJournalSuperblock => BlockType == 4 && Bytes!.Length == 1024;

    /// <summary>Any block of the journal.</summary>
    public bool IsLog => BlockType is 1 or 2 or 5;

    private uint BlockType => Bytes is { Length: >= 12 } && BinaryPrimitives.ReadUInt32BigEndian(Bytes) == 0xC03B3998
        ? BinaryPrimitives.ReadUInt32BigEndian(Bytes.AsSpan(4))
        : 0;
}

/// <summary>
/// A device in memory over bytes that it never changes, with pages of its own for what is written. It writes down every
/// change when asked to, so that <see cref="CrashStates"/> can cut the power.
/// </summary>
internal sealed class CrashDevice(byte[] original, bool isRecording = false) : IBlockDevice
{
    private const int PageByteSize = 4096;

    private readonly Lock _lock = new();
    private readonly Dictionary<long, byte[]> _pages = [];

    public List<DeviceChange> Changes { get; } = [];

    /// <summary>How many changes there were: a point in time.</summary>
    public int Position
    {
        get
        {
            lock (_lock)
            {
                return Changes.Count;
            }
        }
    }

    /// <summary>Called before each flush; throws to fail it.</summary>
    public Action? OnFlush { get; set; }

    public long ByteLength => original.Length;

    public int BlockByteSize => 512;

    public bool IsReadOnly => false;

    public void Read(long byteOffset, Span<byte> destination)
    {
        Assert.InRange(byteOffset + destination.Length, 0, ByteLength);
        lock (_lock)
        {
            for (int done = 0; done < destination.Length;)
            {
                (long page, int within, int count) = Part(byteOffset + done, destination.Length - done);
                ReadOnlySpan<byte> source = _pages.TryGetValue(page, out byte[]? own)
                    ? own.AsSpan(within, count)
                    : original.AsSpan((int)(page * PageByteSize) + within, count);
                source.CopyTo(destination[done..]);
                done += count;
            }
        }
    }

    public void Write(long byteOffset, ReadOnlySpan<byte> source, bool forceUnitAccess = false)
    {
        lock (_lock)
        {
            if (isRecording)
            {
                Changes.Add(new DeviceChange(byteOffset, source.ToArray(), forceUnitAccess));
            }

            Apply(byteOffset, source);
        }
    }

    /// <summary>Noted where it begins: it makes durable what was acknowledged before.</summary>
    public void Flush()
    {
        OnFlush?.Invoke();
        lock (_lock)
        {
            if (isRecording)
            {
                Changes.Add(DeviceChange.Flush);
            }
        }
    }

    public void Discard(long byteOffset, long byteCount)
    {
    }

    public void WriteZeroes(long byteOffset, long byteCount) => Write(byteOffset, new byte[byteCount]);

    public void Dispose()
    {
    }

    public void Apply(long byteOffset, ReadOnlySpan<byte> source)
    {
        Assert.InRange(byteOffset + source.Length, 0, ByteLength);
        for (int done = 0; done < source.Length;)
        {
            (long page, int within, int count) = Part(byteOffset + done, source.Length - done);
            if (!_pages.TryGetValue(page, out byte[]? own))
            {
                own = original.AsSpan((int)(page * PageByteSize), PageByteSize).ToArray();
                _pages.Add(page, own);
            }

            source.Slice(done, count).CopyTo(own.AsSpan(within));
            done += count;
        }
    }

    /// <summary>Writes the contents to a file, sparse.</summary>
    public void SaveTo(string path)
    {
        using FileStream stream = File.Create(path);
        stream.SetLength(ByteLength);
        byte[] page = new byte[PageByteSize];
        for (long offset = 0; offset < ByteLength; offset += PageByteSize)
        {
            Read(offset, page);
            if (page.AsSpan().IndexOfAnyExcept((byte)0) >= 0)
            {
                stream.Position = offset;
                stream.Write(page);
            }
        }
    }

    private static (long Page, int Within, int Count) Part(long byteOffset, int byteCount)
    {
        var within = (int)(byteOffset % PageByteSize);
        return (byteOffset / PageByteSize, within, Math.Min(byteCount, PageByteSize - within));
    }
}

/// <summary>
/// The states that a power cut can leave of a recorded history: everything up to the last flush, writes made durable by
/// themselves, and of the rest any subset, each write whole or any of its 512-byte units.
/// </summary>
internal sealed class CrashStates(byte[] original, IReadOnlyList<DeviceChange> changes, int seed)
{
    private const int UnitByteSize = 512;

    private readonly byte[] _durable = (byte[])original.Clone();
    private int _applied;

    /// <summary>States at random points, in the order of time; each must be used before the next is asked for.</summary>
    /// <param name="count">How many.</param>
    /// <param name="points">The points to choose from; all when null.</param>
    public IEnumerable<(int Cut, CrashDevice Device)> Take(int count, int[]? points = null)
    {
        var random = new Random(seed);
        int[] cuts = [.. Enumerable.Range(0, count).Select(_ => random.Next(points?.Length ?? changes.Count + 1))
            .Select(index => points?[index] ?? index).Order()];
        foreach (int cut in cuts)
        {
            yield return (cut, At(cut, random));
        }
    }

    private CrashDevice At(int cut, Random random)
    {
        int flushed = cut;
        while (flushed > _applied && !changes[flushed - 1].IsFlush)
        {
            flushed--;
        }

        for (; _applied < flushed; _applied++)
        {
            changes[_applied].Bytes?.CopyTo(_durable, changes[_applied].ByteOffset);
        }

        var device = new CrashDevice(_durable);
        int whole = random.Next(3) switch { 0 => 100, 1 => random.Next(5, 95), _ => 0 };
        int torn = random.Next(4) == 0 ? 0 : random.Next(1, 60);
        for (int i = flushed; i < cut; i++)
        {
            Keep(device, changes[i], whole, torn, random);
        }

        return device;
    }

    private static void Keep(CrashDevice device, DeviceChange change, int whole, int torn, Random random)
    {
        if (change.Bytes is null)
        {
            return;
        }

        if (change.IsDurable || random.Next(100) < whole)
        {
            device.Apply(change.ByteOffset, change.Bytes);
        }
        else if (random.Next(100) < torn)
        {
            // Units here and there, or one stretch, as of a large request that was split.
            int units = (change.Bytes.Length + UnitByteSize - 1) / UnitByteSize;
            int kept = random.Next(2) == 0 ? random.Next(1, 100) : 100;
            int first = kept == 100 ? random.Next(units) : 0;
            int end = kept == 100 ? random.Next(first, units) + 1 : units;
            for (int unit = first * UnitByteSize; unit < end * UnitByteSize; unit += UnitByteSize)
            {
                if (random.Next(100) < kept)
                {
                    device.Apply(change.ByteOffset + unit,
                        change.Bytes.AsSpan(unit, Math.Min(UnitByteSize, change.Bytes.Length - unit)));
                }
            }
        }
    }
}
