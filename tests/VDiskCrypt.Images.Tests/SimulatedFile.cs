using VDiskCrypt.Core;

namespace VDiskCrypt.Images.Tests;

/// <summary>One change of a simulated file.</summary>
internal abstract record FileOperation
{
    public sealed record Write(long ByteOffset, byte[] Bytes, bool IsDurable = false) : FileOperation;

    public sealed record Zero(long ByteOffset, long ByteCount) : FileOperation;

    public sealed record Length(long ByteLength) : FileOperation;

    public sealed record Flush : FileOperation;
}

/// <summary>
/// A file in memory that writes down every change, so that a test can cut the power at any point, lose or tear what was
/// not flushed, or make an operation fail.
/// </summary>
internal sealed class SimulatedFile : IHostFile
{
    private const int PageByteSize = 4096;

    private readonly Lock _lock = new();
    private readonly Dictionary<long, byte[]> _pages;
    private long _byteLength;

    public SimulatedFile()
        : this([], 0, isReadOnly: false)
    {
    }

    private SimulatedFile(Dictionary<long, byte[]> pages, long byteLength, bool isReadOnly)
    {
        _pages = pages;
        _byteLength = byteLength;
        IsReadOnly = isReadOnly;
    }

    public string Name => "simulated file";

    public bool IsReadOnly { get; }

    public long ByteLength => _byteLength;

    public List<FileOperation> Operations { get; } = [];

    /// <summary>Called before each change; may throw.</summary>
    public Action<FileOperation>? Before { get; set; }

    public bool IsDisposed { get; private set; }

    /// <summary>The same contents in a file of its own, with no history.</summary>
    public SimulatedFile Copy(bool isReadOnly = false)
    {
        lock (_lock)
        {
            // Pages are replaced, never changed, so copies can share them.
            return new SimulatedFile(new Dictionary<long, byte[]>(_pages), _byteLength, isReadOnly);
        }
    }

    public static SimulatedFile FromBytes(ReadOnlySpan<byte> bytes)
    {
        var file = new SimulatedFile();
        file.ApplyWrite(0, bytes);
        return file;
    }

    public byte[] ToBytes()
    {
        byte[] bytes = new byte[_byteLength];
        Read(0, bytes);
        return bytes;
    }

    /// <summary>Writes the contents to a real file, sparse.</summary>
    public void SaveTo(string path)
    {
        using FileStream stream = System.IO.File.Create(path);
        stream.SetLength(_byteLength);
        foreach ((long page, byte[] bytes) in _pages)
        {
            stream.Position = page * PageByteSize;
            stream.Write(bytes, 0, (int)Math.Min(PageByteSize, _byteLength - page * PageByteSize));
        }
    }

    public void Read(long byteOffset, Span<byte> destination)
    {
        lock (_lock)
        {
            if (byteOffset > _byteLength - destination.Length)
            {
                throw VDiskException.Damaged(Name, _byteLength, "the file ends too early");
            }

            for (int done = 0; done < destination.Length;)
            {
                (long page, int within, int count) = Part(byteOffset + done, destination.Length - done);
                if (_pages.TryGetValue(page, out byte[]? bytes))
                {
                    bytes.AsSpan(within, count).CopyTo(destination[done..]);
                }
                else
                {
                    destination.Slice(done, count).Clear();
                }

                done += count;
            }
        }
    }

    public void Write(long byteOffset, ReadOnlySpan<byte> source, bool forceUnitAccess = false) =>
        Perform(new FileOperation.Write(byteOffset, source.ToArray(), forceUnitAccess));

    public void Flush() => Perform(new FileOperation.Flush());

    public void SetLength(long byteLength) => Perform(new FileOperation.Length(byteLength));

    public void PunchHole(long byteOffset, long byteCount) => ZeroRange(byteOffset, byteCount);

    public void ZeroRange(long byteOffset, long byteCount) => Perform(new FileOperation.Zero(byteOffset, byteCount));

    public void Dispose() => IsDisposed = true;

    /// <summary>Applies a change without writing it down.</summary>
    public void Apply(FileOperation operation)
    {
        lock (_lock)
        {
            switch (operation)
            {
                case FileOperation.Write write:
                    ApplyWrite(write.ByteOffset, write.Bytes);
                    break;
                case FileOperation.Zero zero:
                    ApplyZero(zero.ByteOffset, Math.Min(zero.ByteOffset + zero.ByteCount, _byteLength));
                    break;
                case FileOperation.Length length:
                    if (length.ByteLength < _byteLength)
                    {
                        ApplyZero(length.ByteLength, _byteLength);
                    }

                    _byteLength = length.ByteLength;
                    break;
            }
        }
    }

    private void Perform(FileOperation operation)
    {
        if (IsReadOnly)
        {
            throw new VDiskException(FailureKind.ReadOnly, "the simulated file is read-only", Name);
        }

        Before?.Invoke(operation);
        lock (_lock)
        {
            Operations.Add(operation);
        }

        Apply(operation);
    }

    private void ApplyWrite(long byteOffset, ReadOnlySpan<byte> source)
    {
        for (int done = 0; done < source.Length;)
        {
            (long page, int within, int count) = Part(byteOffset + done, source.Length - done);
            byte[] bytes = _pages.TryGetValue(page, out byte[]? old) ? (byte[])old.Clone() : new byte[PageByteSize];
            source.Slice(done, count).CopyTo(bytes.AsSpan(within));
            _pages[page] = bytes;
            done += count;
        }

        _byteLength = Math.Max(_byteLength, byteOffset + source.Length);
    }

    private void ApplyZero(long start, long end)
    {
        for (long position = start; position < end;)
        {
            (long page, int within, int count) = Part(position, (int)Math.Min(PageByteSize, end - position));
            if (count == PageByteSize)
            {
                _pages.Remove(page);
            }
            else if (_pages.TryGetValue(page, out byte[]? old))
            {
                byte[] bytes = (byte[])old.Clone();
                bytes.AsSpan(within, count).Clear();
                _pages[page] = bytes;
            }

            position += count;
        }
    }

    private static (long Page, int Within, int Count) Part(long byteOffset, int byteCount)
    {
        int within = (int)(byteOffset % PageByteSize);
        return (byteOffset / PageByteSize, within, Math.Min(byteCount, PageByteSize - within));
    }
}
