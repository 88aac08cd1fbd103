using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Directories;
using VDiskCrypt.Ext4.Files;
using VDiskCrypt.Ext4.Inodes;
using VDiskCrypt.Ext4.OnDisk;

namespace VDiskCrypt.Ext4;

/// <content>Listing of directories.</content>
public sealed partial class Ext4FileSystem
{
    /// <inheritdoc/>
    public FileSystemError ReadDirectory(ulong directory, ulong cookie, bool withAttributes, IDirectorySink sink)
    {
        Inode? parent = _inodes.TryGet(directory);
        if (parent is null)
        {
            return FileSystemError.StaleInode;
        }

        parent.Lock.EnterShared();
        try
        {
            FileSystemError error = CheckDirectory(parent);
            if (error == FileSystemError.None && parent.LinkCount > 0)
            {
                _directories.List(parent, cookie, new SinkVisitor(this, sink, withAttributes));
            }

            return error;
        }
        finally
        {
            parent.Lock.ExitShared();
            parent.Unpin();
        }
    }

    /// <summary>Hands entries to a sink, with attributes where asked.</summary>
    private sealed class SinkVisitor(Ext4FileSystem fileSystem, IDirectorySink sink, bool withAttributes) : IDirectoryEntryVisitor
    {
        public bool Visit(ReadOnlySpan<byte> name, uint inode, byte type, ulong nextCookie)
        {
            InodeAttributes attributes = default;
            if (!withAttributes)
            {
                return sink.TryAdd(name, inode, DirectoryEntryOnDisk.TypeToMode(type), nextCookie, attributes);
            }

            // An inode that cannot be read does not hide the other names: its entry has no attributes.
            Inode? found = fileSystem.TryGetQuietly(inode);
            if (found is not null)
            {
                attributes = fileSystem.AttributesOf(found);
                found.Unpin();
            }

            bool isCounted = found is not null && !IsDot(name) && !IsDotDot(name);
            if (isCounted)
            {
                fileSystem._references.Add(inode);
            }

            bool isTaken = sink.TryAdd(name, inode, DirectoryEntryOnDisk.TypeToMode(type), nextCookie, attributes);
            if (isCounted && !isTaken)
            {
                fileSystem._references.Remove(inode, 1);
            }

            return isTaken;
        }
    }

    private Inode? TryGetQuietly(uint inode)
    {
        try
        {
            return _inodes.TryGet(inode);
        }
        catch (VDiskException exception) when (exception.Kind is FailureKind.Damaged or FailureKind.Unsupported)
        {
            return null;
        }
    }
}
