namespace VDiskCrypt.Core;

/// <summary>
/// An inode-based filesystem. Thread-safe. Names are bytes, not text. Permission checks are the surface's (the FUSE
/// kernel module makes them); the filesystem checks what keeps its own structure sound (types, emptiness, cycles).
/// </summary>
/// <remarks>
/// References: each call that hands out an inode found by name (<see cref="Lookup"/>, the calls that create, an entry
/// with attributes accepted by a sink) adds one reference; <see cref="Forget"/> drops them. An inode without links lives
/// until its last reference is dropped, so a surface needs no open call: it holds a reference while a file is open.
/// The root always exists. An operation on an inode number that does not exist is <see cref="FileSystemError.StaleInode"/>.
/// Failures of the device below are thrown as <see cref="VDiskException"/>; outcomes that callers expect are returned.
/// </remarks>
public interface IFileSystem : IDisposable
{
    ulong RootInode { get; }

    bool IsReadOnly { get; }

    FileSystemStatistics GetStatistics();

    FileSystemError Lookup(ulong directory, ReadOnlySpan<byte> name, out InodeAttributes attributes);

    void Forget(ulong inode, ulong referenceCount);

    FileSystemError GetAttributes(ulong inode, out InodeAttributes attributes);

    FileSystemError SetAttributes(ulong inode, in AttributeChange change, out InodeAttributes attributes);

    /// <summary>A regular file, directory, device, fifo or socket, by the type in <see cref="NewInode.Mode"/>.</summary>
    FileSystemError Create(ulong directory, ReadOnlySpan<byte> name, in NewInode node, out InodeAttributes attributes);

    /// <summary>A regular file without a name (O_TMPFILE), on the filesystem of <paramref name="directory"/>; Link can name it.</summary>
    FileSystemError CreateUnnamed(ulong directory, in NewInode node, out InodeAttributes attributes);

    FileSystemError CreateSymbolicLink(ulong directory, ReadOnlySpan<byte> name, ReadOnlySpan<byte> target, in NewInode node, out InodeAttributes attributes);

    FileSystemError Link(ulong inode, ulong directory, ReadOnlySpan<byte> name, out InodeAttributes attributes);

    FileSystemError Unlink(ulong directory, ReadOnlySpan<byte> name);

    FileSystemError RemoveDirectory(ulong directory, ReadOnlySpan<byte> name);

    FileSystemError Rename(ulong directory, ReadOnlySpan<byte> name, ulong newDirectory, ReadOnlySpan<byte> newName, RenameFlags flags);

    /// <summary>Copies the target; <see cref="FileSystemError.RangeTooSmall"/> when it does not fit.</summary>
    FileSystemError ReadLink(ulong inode, Span<byte> target, out int byteCount);

    /// <summary>
    /// Lists entries from <paramref name="cookie"/> on (0: from the start) until the sink is full or the directory ends.
    /// Cookies stay valid while the directory changes: an entry that stays is listed once.
    /// </summary>
    FileSystemError ReadDirectory(ulong directory, ulong cookie, bool withAttributes, IDirectorySink sink);

    /// <summary>Reads up to the end of the file; <paramref name="byteCount"/> is short only there.</summary>
    FileSystemError Read(ulong inode, long byteOffset, Span<byte> destination, out int byteCount);

    /// <summary>Writes all of <paramref name="source"/> or fails; <paramref name="byteCount"/> is what was written before space ran out.</summary>
    FileSystemError Write(ulong inode, long byteOffset, ReadOnlySpan<byte> source, out int byteCount);

    /// <summary>fsync (or, with <paramref name="dataOnly"/>, fdatasync): durable on return. An I/O error that was reported for the file stays reported.</summary>
    FileSystemError Sync(ulong inode, bool dataOnly);

    /// <summary>syncfs: everything durable on return.</summary>
    FileSystemError SyncAll();

    FileSystemError Allocate(ulong inode, AllocateFlags flags, long byteOffset, long byteCount);

    /// <summary>The next data or hole at or behind <paramref name="byteOffset"/>; <see cref="FileSystemError.NoSuchOffset"/> behind the end.</summary>
    FileSystemError Seek(ulong inode, long byteOffset, SeekTarget target, out long found);

    /// <summary>Reads an attribute by its full name ("user.x"). An empty <paramref name="value"/> asks for the size alone.</summary>
    FileSystemError GetExtendedAttribute(ulong inode, ReadOnlySpan<byte> name, Span<byte> value, out int byteCount);

    FileSystemError SetExtendedAttribute(ulong inode, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, SetAttributeMode mode);

    FileSystemError RemoveExtendedAttribute(ulong inode, ReadOnlySpan<byte> name);

    /// <summary>The names, each ended by a zero byte. An empty <paramref name="names"/> asks for the size alone.</summary>
    FileSystemError ListExtendedAttributes(ulong inode, Span<byte> names, out int byteCount);
}
