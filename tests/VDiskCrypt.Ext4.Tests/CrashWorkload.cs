using System.Buffers.Binary;
using System.Text;
using VDiskCrypt.Core;
using Xunit;

namespace VDiskCrypt.Ext4.Tests;

/// <summary>
/// Random work on a filesystem whose files say themselves what they must hold, and a diary of what was promised when: which
/// size a sync made durable, which version of a file had its name. With both any state of the device can be judged.
/// </summary>
internal sealed class CrashWorkload
{
    private const int TargetCount = 3;

    private readonly CrashDevice _device;
    private readonly Ext4FileSystem _fs;
    private readonly Random _random;
    private readonly ulong _root;
    private readonly int _blockByteSize;
    private readonly Dictionary<string, AppendedFile> _files = [];
    private readonly Dictionary<string, ReplacedFile> _targets = [];
    private readonly string _prefix;
    private int _next;

    public CrashWorkload(CrashDevice device, Ext4FileSystem fs, int seed, string prefix = "f")
    {
        _device = device;
        _fs = fs;
        _random = new Random(seed);
        _root = fs.RootInode;
        _blockByteSize = (int)fs.GetStatistics().BlockByteSize;
        _prefix = prefix;
    }

    /// <summary>Makes this many steps.</summary>
    public void Run(int steps)
    {
        for (int i = 0; i < steps; i++)
        {
            switch (_random.Next(20))
            {
                case < 5:
                    Append(Any() ?? Create());
                    break;
                case < 8:
                    Append(Create());
                    break;
                case < 11:
                    Sync(Any(), dataOnly: _random.Next(2) == 0);
                    break;
                case < 13:
                    Replace($"{_prefix}-t{_random.Next(TargetCount)}");
                    break;
                case < 15:
                    Unlink(Any());
                    break;
                case 15:
                    Truncate(Any());
                    break;
                case < 18:
                    Churn();
                    break;
                case 18:
                    Overwrite(Any());
                    break;
                default:
                    SyncAll();
                    break;
            }
        }
    }

    /// <summary>Appends and syncs one file again and again, as a log does.</summary>
    public void RunLog(int steps)
    {
        AppendedFile file = Create();
        for (int i = 0; i < steps; i++)
        {
            Append(file);
            Sync(file, dataOnly: i % 2 == 0);
        }
    }

    /// <summary>Says what is wrong with a state, or null.</summary>
    public string? Judge(Ext4FileSystem state, int cut)
    {
        foreach (AppendedFile file in _files.Values)
        {
            if (file.Judge(state, cut) is { } wrong)
            {
                return wrong;
            }
        }

        foreach (ReplacedFile target in _targets.Values)
        {
            if (target.Judge(state, cut) is { } wrong)
            {
                return wrong;
            }
        }

        return null;
    }

    private static byte[] Name(string name) => Encoding.UTF8.GetBytes(name);

    /// <summary>What a file holds at an offset: 8 bytes that depend on the name and the place.</summary>
    private static void Fill(string name, long byteOffset, Span<byte> bytes)
    {
        ulong tag = 14695981039346656037;
        foreach (char letter in name)
        {
            tag = (tag ^ letter) * 1099511628211;
        }

        Span<byte> word = stackalloc byte[8];
        for (int i = 0; i < bytes.Length; i++)
        {
            long place = byteOffset + i;
            if (i == 0 || (place & 7) == 0)
            {
                BinaryPrimitives.WriteUInt64LittleEndian(word, (tag ^ (ulong)(place >> 3)) * 0x9E3779B97F4A7C15 | 0x0101010101010101);
            }

            bytes[i] = word[(int)(place & 7)];
        }
    }

    private static byte[]? ReadAll(Ext4FileSystem state, string name)
    {
        if (state.Lookup(state.RootInode, Name(name), out InodeAttributes found) != FileSystemError.None)
        {
            return null;
        }

        var content = new byte[found.Size];
        Assert.Equal(FileSystemError.None, state.Read(found.Inode, 0, content, out int read));
        Assert.Equal(content.Length, read);
        return content;
    }

    private AppendedFile? Any()
    {
        AppendedFile[] alive = [.. _files.Values.Where(file => file.UnlinkStarted == int.MaxValue)];
        return alive.Length == 0 ? null : alive[_random.Next(alive.Length)];
    }

    private AppendedFile Create()
    {
        string name = $"{_prefix}{_next++}";
        Assert.Equal(FileSystemError.None, _fs.Create(_root, Name(name), new NewInode { Mode = UnixMode.Regular | 0x1A4 }, out InodeAttributes made));
        var file = new AppendedFile(name, made.Inode);
        _files.Add(name, file);
        return file;
    }

    private void Append(AppendedFile file)
    {
        int most = _random.Next(3) switch { 0 => 100, 1 => _blockByteSize * 2, _ => _blockByteSize * 20 };
        var bytes = new byte[_random.Next(1, most)];
        Fill(file.Name, file.Size, bytes);
        FileSystemError error = _fs.Write(file.Inode, file.Size, bytes, out int written);
        file.Size += written;
        if (error == FileSystemError.NoSpace)
        {
            Unlink(Any());
            return;
        }

        Assert.Equal(FileSystemError.None, error);
    }

    private void Overwrite(AppendedFile? file)
    {
        if (file is null || file.Size == 0)
        {
            return;
        }

        long offset = _random.NextInt64(file.Size);
        var bytes = new byte[Math.Min(file.Size - offset, _random.Next(1, 5000))];
        Fill(file.Name, offset, bytes);
        Assert.Equal(FileSystemError.None, _fs.Write(file.Inode, offset, bytes, out _));
    }

    private void Sync(AppendedFile? file, bool dataOnly)
    {
        if (file is not null)
        {
            Assert.Equal(FileSystemError.None, _fs.Sync(file.Inode, dataOnly));
            file.Promise(_device.Position);
        }
    }

    private void SyncAll()
    {
        Assert.Equal(FileSystemError.None, _fs.SyncAll());
        int now = _device.Position;
        foreach (AppendedFile file in _files.Values)
        {
            file.Promise(now);
        }

        foreach (ReplacedFile target in _targets.Values)
        {
            target.Promise(now);
        }
    }

    private void Truncate(AppendedFile? file)
    {
        if (file is null)
        {
            return;
        }

        // To whole blocks: the zeros behind another end may be on the device before the new size is.
        long size = _random.NextInt64(file.Size / _blockByteSize + 1) * _blockByteSize;
        file.Shrink(_device.Position, size);
        Assert.Equal(FileSystemError.None, _fs.SetAttributes(
            file.Inode, new AttributeChange { Fields = AttributeFields.Size, Size = size }, out _));
    }

    private void Unlink(AppendedFile? file)
    {
        if (file is null)
        {
            return;
        }

        file.UnlinkStarted = _device.Position;
        Assert.Equal(FileSystemError.None, _fs.Unlink(_root, Name(file.Name)));
        _fs.Forget(file.Inode, ulong.MaxValue);
    }

    /// <summary>The usual way to change a file in one step: new file, sync, rename over the old.</summary>
    private void Replace(string name)
    {
        if (!_targets.TryGetValue(name, out ReplacedFile? target))
        {
            _targets.Add(name, target = new ReplacedFile(name));
        }

        int version = target.NextVersion(_random.Next(1, _blockByteSize * 6));
        string temporary = name + ".new";
        byte[] content = target.Content(version);
        _fs.Unlink(_root, Name(temporary));
        Assert.Equal(FileSystemError.None, _fs.Create(_root, Name(temporary), new NewInode { Mode = UnixMode.Regular | 0x1A4 }, out InodeAttributes made));
        if (_fs.Write(made.Inode, 0, content, out int written) != FileSystemError.None || written != content.Length)
        {
            _fs.Forget(made.Inode, ulong.MaxValue);
            Unlink(Any());
            return;
        }

        Assert.Equal(FileSystemError.None, _fs.Sync(made.Inode, true));
        target.Started(version, _device.Position);
        Assert.Equal(FileSystemError.None, _fs.Rename(_root, Name(temporary), _root, Name(name), RenameFlags.None));
        target.Current = version;
        if (_random.Next(2) == 0)
        {
            Assert.Equal(FileSystemError.None, _fs.Sync(_root, false));
            target.Promise(_device.Position);
        }

        _fs.Forget(made.Inode, ulong.MaxValue);
    }

    /// <summary>Directories that come and go: their blocks are metadata first and file data soon after.</summary>
    private void Churn()
    {
        byte[] name = Name($"{_prefix}-d{_random.Next(4)}");
        if (_fs.Lookup(_root, name, out InodeAttributes found) == FileSystemError.None)
        {
            var sink = new ListSink();
            Assert.Equal(FileSystemError.None, _fs.ReadDirectory(found.Inode, 0, false, sink));
            foreach (string entry in sink.Names)
            {
                Assert.Equal(FileSystemError.None, _fs.Unlink(found.Inode, Name(entry)));
            }

            Assert.Equal(FileSystemError.None, _fs.RemoveDirectory(_root, name));
            _fs.Forget(found.Inode, ulong.MaxValue);
            return;
        }

        if (_fs.Create(_root, name, new NewInode { Mode = UnixMode.Directory | 0x1ED }, out InodeAttributes made) != FileSystemError.None)
        {
            return;
        }

        int count = _random.Next(1, 80);
        string padding = new('x', _random.Next(1, 200));
        for (int i = 0; i < count; i++)
        {
            var node = new NewInode { Mode = UnixMode.Regular | 0x1A4 };
            if (_fs.Create(made.Inode, Name($"{i}{padding}"), node, out InodeAttributes entry) != FileSystemError.None)
            {
                break;
            }

            _fs.Forget(entry.Inode, ulong.MaxValue);
        }

        _fs.Forget(made.Inode, ulong.MaxValue);
    }

    private sealed class AppendedFile(string name, ulong inode)
    {
        private readonly List<(int Position, long Size)> _promises = [];

        public string Name { get; } = name;

        public ulong Inode { get; } = inode;

        public long Size { get; set; }

        public int UnlinkStarted { get; set; } = int.MaxValue;

        private int UnlinkDurable { get; set; } = int.MaxValue;

        public void Promise(int position)
        {
            if (UnlinkStarted == int.MaxValue)
            {
                _promises.Add((position, Size));
            }
            else if (UnlinkDurable == int.MaxValue)
            {
                UnlinkDurable = position;
            }
        }

        public void Shrink(int position, long size)
        {
            if (_promises.Count > 0)
            {
                _promises.Add((position, Math.Min(_promises[^1].Size, size)));
            }

            Size = size;
        }

        public string? Judge(Ext4FileSystem state, int cut)
        {
            long promised = -1;
            foreach ((int position, long size) in _promises)
            {
                promised = position <= cut ? size : promised;
            }

            byte[]? content = ReadAll(state, Name);
            if (content is null)
            {
                return promised >= 0 && UnlinkStarted > cut ? $"{Name}: synced and gone" : null;
            }

            if (UnlinkDurable <= cut)
            {
                return $"{Name}: its removal was synced";
            }

            if (content.Length < promised && UnlinkStarted > cut)
            {
                return $"{Name}: {content.Length} bytes, {promised} were synced";
            }

            var expected = new byte[content.Length];
            Fill(Name, 0, expected);
            int same = content.AsSpan().CommonPrefixLength(expected);
            return same == content.Length ? null : $"{Name}: foreign bytes from {same} of {content.Length} on (synced {promised})";
        }
    }

    private sealed class ReplacedFile(string name)
    {
        private readonly List<int> _sizes = [];
        private readonly List<int> _started = [];
        private readonly List<(int Position, int Version)> _promises = [];

        public int Current { get; set; } = -1;

        public int NextVersion(int size)
        {
            _sizes.Add(size);
            _started.Add(int.MaxValue);
            return _sizes.Count - 1;
        }

        public byte[] Content(int version)
        {
            var bytes = new byte[_sizes[version] + 4];
            Fill($"{name}/{version}", 0, bytes);
            BinaryPrimitives.WriteInt32LittleEndian(bytes, version);
            return bytes;
        }

        public void Started(int version, int position) => _started[version] = position;

        public void Promise(int position)
        {
            if (Current >= 0)
            {
                _promises.Add((position, Current));
            }
        }

        public string? Judge(Ext4FileSystem state, int cut)
        {
            int promised = -1;
            foreach ((int position, int version) in _promises)
            {
                promised = position <= cut ? version : promised;
            }

            byte[]? content = ReadAll(state, name);
            if (content is null)
            {
                return promised >= 0 ? $"{name}: version {promised} was synced, the file is gone" : null;
            }

            int found = content.Length >= 4 ? BinaryPrimitives.ReadInt32LittleEndian(content) : -1;
            if (found < 0 || found >= _sizes.Count || !content.AsSpan().SequenceEqual(Content(found)))
            {
                return $"{name}: neither the old nor the new content";
            }

            return found < promised ? $"{name}: version {found}, {promised} was synced"
                : _started[found] > cut ? $"{name}: version {found} is from the future" : null;
        }
    }
}
