using System.Diagnostics.CodeAnalysis;

namespace VDiskCrypt.Testing;

/// <summary>
/// The entries of a directory of a <see cref="MemoryFileSystem"/>, in the order they were made; each keeps its cookie
/// for life, so that a listing is not disturbed by changes.
/// </summary>
internal sealed class MemoryDirectory
{
    /// <summary>Cookies 1 and 2 stand behind "." and "..".</summary>
    public const ulong FirstCookie = 3;

    private readonly Dictionary<byte[], ulong> _cookies = new(NameComparer.Instance);
    private readonly List<Entry> _entries = [];
    private ulong _lastCookie = FirstCookie - 1;
    private int _removedCount;

    public ulong Parent { get; set; }

    public int Count => _cookies.Count;

    public bool TryFind(ReadOnlySpan<byte> name, out ulong inode)
    {
        if (_cookies.GetAlternateLookup<ReadOnlySpan<byte>>().TryGetValue(name, out ulong cookie))
        {
            inode = _entries[IndexOf(cookie)].Inode;
            return true;
        }

        inode = 0;
        return false;
    }

    public void Add(ReadOnlySpan<byte> name, ulong inode)
    {
        byte[] copy = name.ToArray();
        _cookies.Add(copy, ++_lastCookie);
        _entries.Add(new Entry(_lastCookie, copy, inode));
    }

    public void Replace(ReadOnlySpan<byte> name, ulong inode)
    {
        int index = IndexOf(_cookies.GetAlternateLookup<ReadOnlySpan<byte>>()[name]);
        _entries[index] = _entries[index] with { Inode = inode };
    }

    public void Remove(ReadOnlySpan<byte> name)
    {
        _cookies.GetAlternateLookup<ReadOnlySpan<byte>>().Remove(name, out _, out ulong cookie);
        int index = IndexOf(cookie);
        _entries[index] = _entries[index] with { Name = null };
        if (++_removedCount > 64 && _removedCount > _entries.Count / 2)
        {
            _entries.RemoveAll(entry => entry.Name is null);
            _removedCount = 0;
        }
    }

    /// <summary>The entries from one cookie on, in order.</summary>
    public ReadOnlySpan<Entry> From(ulong cookie)
    {
        int index = _entries.BinarySearch(new Entry(cookie, null, 0), CookieComparer.Instance);
        return System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_entries)[(index < 0 ? ~index : index)..];
    }

    private int IndexOf(ulong cookie) => _entries.BinarySearch(new Entry(cookie, null, 0), CookieComparer.Instance);

    /// <param name="Cookie">Its own place in the listing.</param>
    /// <param name="Name">Null once removed.</param>
    /// <param name="Inode">What it names.</param>
    internal readonly record struct Entry(ulong Cookie, byte[]? Name, ulong Inode);

    private sealed class CookieComparer : IComparer<Entry>
    {
        public static readonly CookieComparer Instance = new();

        public int Compare(Entry x, Entry y) => x.Cookie.CompareTo(y.Cookie);
    }

    private sealed class NameComparer : IEqualityComparer<byte[]>, IAlternateEqualityComparer<ReadOnlySpan<byte>, byte[]>
    {
        public static readonly NameComparer Instance = new();

        public bool Equals(byte[]? x, byte[]? y) => x.AsSpan().SequenceEqual(y);

        public bool Equals(ReadOnlySpan<byte> alternate, byte[] other) => alternate.SequenceEqual(other);

        public int GetHashCode([DisallowNull] byte[] name) => GetHashCode(name.AsSpan());

        public int GetHashCode(ReadOnlySpan<byte> name)
        {
            var hash = default(HashCode);
            hash.AddBytes(name);
            return hash.ToHashCode();
        }

        public byte[] Create(ReadOnlySpan<byte> alternate) => alternate.ToArray();
    }
}
