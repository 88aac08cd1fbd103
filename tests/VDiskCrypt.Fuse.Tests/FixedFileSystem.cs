using VDiskCrypt.Core;

namespace VDiskCrypt.Fuse.Tests;

/// <summary>Says yes to everything and allocates nothing, so that what a test counts is the surface's own.</summary>
internal sealed class FixedFileSystem : IFileSystem
{
    private static readonly InodeAttributes File = new() { Inode = 12, Mode = UnixMode.Regular | 0x1A4, LinkCount = 1, Size = 1 << 20 };

    public ulong RootInode => 2;

    public bool IsReadOnly => false;

    public FileSystemStatistics GetStatistics() => new(4096, 1000, 500, 500, 1000, 500, 255);

    public FileSystemError Lookup(ulong directory, ReadOnlySpan<byte> name, out InodeAttributes attributes) => Found(out attributes);

    public void Forget(ulong inode, ulong referenceCount)
    {
    }

    public FileSystemError GetAttributes(ulong inode, out InodeAttributes attributes) => Found(out attributes);

    public FileSystemError SetAttributes(ulong inode, in AttributeChange change, out InodeAttributes attributes) => Found(out attributes);

    public FileSystemError Create(ulong directory, ReadOnlySpan<byte> name, in NewInode node, out InodeAttributes attributes) => Found(out attributes);

    public FileSystemError CreateUnnamed(ulong directory, in NewInode node, out InodeAttributes attributes) => Found(out attributes);

    public FileSystemError CreateSymbolicLink(
        ulong directory, ReadOnlySpan<byte> name, ReadOnlySpan<byte> target, in NewInode node, out InodeAttributes attributes) => Found(out attributes);

    public FileSystemError Link(ulong inode, ulong directory, ReadOnlySpan<byte> name, out InodeAttributes attributes) => Found(out attributes);

    public FileSystemError Unlink(ulong directory, ReadOnlySpan<byte> name) => FileSystemError.None;

    public FileSystemError RemoveDirectory(ulong directory, ReadOnlySpan<byte> name) => FileSystemError.None;

    public FileSystemError Rename(
        ulong directory, ReadOnlySpan<byte> name, ulong newDirectory, ReadOnlySpan<byte> newName, RenameFlags flags) => FileSystemError.None;

    public FileSystemError ReadLink(ulong inode, Span<byte> target, out int byteCount) => Filled(target, out byteCount);

    public FileSystemError ReadDirectory(ulong directory, ulong cookie, bool withAttributes, IDirectorySink sink)
    {
        for (ulong next = cookie + 1; next < 20; next++)
        {
            if (!sink.TryAdd("an entry"u8, 12, UnixMode.Regular, next, File))
            {
                break;
            }
        }

        return FileSystemError.None;
    }

    public FileSystemError Read(ulong inode, long byteOffset, Span<byte> destination, out int byteCount) => Filled(destination, out byteCount);

    public FileSystemError Write(ulong inode, long byteOffset, ReadOnlySpan<byte> source, out int byteCount)
    {
        byteCount = source.Length;
        return FileSystemError.None;
    }

    public FileSystemError Sync(ulong inode, bool dataOnly) => FileSystemError.None;

    public FileSystemError SyncAll() => FileSystemError.None;

    public FileSystemError Allocate(ulong inode, AllocateFlags flags, long byteOffset, long byteCount) => FileSystemError.None;

    public FileSystemError Seek(ulong inode, long byteOffset, SeekTarget target, out long found)
    {
        found = byteOffset;
        return FileSystemError.None;
    }

    public FileSystemError GetExtendedAttribute(ulong inode, ReadOnlySpan<byte> name, Span<byte> value, out int byteCount) => Filled(value, out byteCount);

    public FileSystemError SetExtendedAttribute(ulong inode, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, SetAttributeMode mode) => FileSystemError.None;

    public FileSystemError RemoveExtendedAttribute(ulong inode, ReadOnlySpan<byte> name) => FileSystemError.None;

    public FileSystemError ListExtendedAttributes(ulong inode, Span<byte> names, out int byteCount) => Filled(names, out byteCount);

    public void Dispose()
    {
    }

    private static FileSystemError Found(out InodeAttributes attributes)
    {
        attributes = File;
        return FileSystemError.None;
    }

    private static FileSystemError Filled(Span<byte> destination, out int byteCount)
    {
        destination.Fill(1);
        byteCount = destination.Length;
        return FileSystemError.None;
    }
}
