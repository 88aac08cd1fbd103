using System.Text;
using Microsoft.Win32.SafeHandles;
using VDiskCrypt.Core;

namespace VDiskCrypt.Cli;

/// <summary>Copies files and folders between a volume and the host, with modes and times, and holes kept as holes.</summary>
internal sealed class FileCopy(VolumeTree tree, Report report)
{
    private const int ChunkByteCount = 1 << 20;

    public long CopiedFileCount { get; private set; }

    public long CopiedByteCount { get; private set; }

    /// <summary>A file's bytes to a stream, from its start to its end.</summary>
    public void ToStream(InodeAttributes file, string path, Stream target)
    {
        using AlignedBuffer buffer = AlignedBuffer.Rent(ChunkByteCount);
        for (long offset = 0; ;)
        {
            VolumeTree.Check(tree.Files.Read(file.Inode, offset, buffer.Span, out int byteCount), path);
            if (byteCount == 0)
            {
                return;
            }

            target.Write(buffer.Span[..byteCount]);
            offset += byteCount;
        }
    }

    public void ToHost(InodeAttributes source, string sourcePath, string target, bool recursive)
    {
        switch (source.Mode & UnixMode.TypeMask)
        {
            case UnixMode.Regular:
                FileToHost(source, sourcePath, target);
                break;
            case UnixMode.SymbolicLink:
                File.CreateSymbolicLink(target, tree.LinkTarget(source, sourcePath));
                HostTimes.Set(target, source.AccessTime, source.ModifyTime);
                break;
            case UnixMode.Directory when recursive:
                FolderToHost(source, sourcePath, target);
                break;
            case UnixMode.Directory:
                throw new VDiskException(FailureKind.Usage, "is a folder", sourcePath, "use --recursive");
            default:
                report.Notice($"left out, neither file, folder nor link: {sourcePath}");
                return;
        }

        CopiedFileCount++;
    }

    public void ToVolume(string source, InodeAttributes folder, string name, string targetPath, bool recursive)
    {
        if (new FileInfo(source).LinkTarget is { } linkTarget)
        {
            NewInode link = NodeOf(source, UnixMode.SymbolicLink | 0x1FF);
            VolumeTree.Check(tree.Files.CreateSymbolicLink(folder.Inode, Encoding.UTF8.GetBytes(name), Encoding.UTF8.GetBytes(linkTarget), link, out InodeAttributes made), targetPath);
            SetVolumeAttributes(source, made.Inode, null, targetPath);
        }
        else if (Directory.Exists(source))
        {
            if (!recursive)
            {
                throw new VDiskException(FailureKind.Usage, "is a folder", source, "use --recursive");
            }

            FolderToVolume(source, folder, name, targetPath);
        }
        else if (IsSpecial(source))
        {
            report.Notice($"left out, neither file, folder nor link: {source}");
            return;
        }
        else if (File.Exists(source))
        {
            FileToVolume(source, folder, name, targetPath);
        }
        else
        {
            throw new VDiskException(FailureKind.NotFound, "no such file or folder", source);
        }

        CopiedFileCount++;
    }

    private static NewInode NodeOf(string source, uint mode)
    {
        HostStatus? status = OperatingSystem.IsWindows() ? null : HostStatus.Of(source, followLinks: false);
        return new NewInode { Mode = mode, UserId = status?.UserId ?? 0, GroupId = status?.GroupId ?? 0 };
    }

    /// <summary>A pipe, socket or device: opening it may wait for ever or never end.</summary>
    private static bool IsSpecial(string source) => !OperatingSystem.IsWindows()
        && HostStatus.Of(source, followLinks: false) is { } status
        && (status.Mode & UnixMode.TypeMask) is not (UnixMode.Regular or UnixMode.Directory or UnixMode.SymbolicLink);

    private static uint PermissionsOf(string source, uint otherwise) =>
        OperatingSystem.IsWindows() ? otherwise : (uint)File.GetUnixFileMode(source);

    private void FileToHost(InodeAttributes source, string sourcePath, string target)
    {
        // For its owner alone until it has the mode of the source: that may be closed to others.
        using (var stream = new FileStream(target, PrivateFile()))
        using (AlignedBuffer buffer = AlignedBuffer.Rent(ChunkByteCount))
        {
            SafeFileHandle file = stream.SafeFileHandle;
            RandomAccess.SetLength(file, source.Size);
            long offset = 0;
            while (offset < source.Size
                && tree.Files.Seek(source.Inode, offset, SeekTarget.Data, out offset) == FileSystemError.None)
            {
                VolumeTree.Check(tree.Files.Seek(source.Inode, offset, SeekTarget.Hole, out long end), sourcePath);
                for (; offset < end; CopiedByteCount += Math.Min(ChunkByteCount, end - offset), offset += ChunkByteCount)
                {
                    Span<byte> chunk = buffer.Span[..(int)Math.Min(ChunkByteCount, end - offset)];
                    VolumeTree.Check(tree.Files.Read(source.Inode, offset, chunk, out int byteCount), sourcePath);
                    RandomAccess.Write(file, chunk[..byteCount], offset);
                }

                offset = end;
            }
        }

        SetHostAttributes(source, target);
    }

    private static FileStreamOptions PrivateFile()
    {
        var options = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, BufferSize = 0 };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        }

        return options;
    }

    /// <remarks>
    /// A folder with one name twice would let a link be made first and then be written through, out of the target; names
    /// that are not UTF-8 become equal when they are decoded.
    /// </remarks>
    private void FolderToHost(InodeAttributes source, string sourcePath, string target)
    {
        Directory.CreateDirectory(target);
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (VolumeEntry entry in tree.List(source, sourcePath))
        {
            if (!entry.HasHostName)
            {
                throw new VDiskException(FailureKind.Unsupported, "a name is not UTF-8 and cannot be copied out", $"{sourcePath.TrimEnd('/')}/{entry.Name}",
                    "mount the volume and copy it from there");
            }

            if (!names.Add(entry.Name))
            {
                throw new VDiskException(FailureKind.Damaged, "a folder holds one name twice", $"{sourcePath.TrimEnd('/')}/{entry.Name}",
                    "decrypt the volume and run e2fsck on it");
            }

            ToHost(entry.Attributes, $"{sourcePath.TrimEnd('/')}/{entry.Name}", Path.Combine(target, entry.Name), recursive: true);
        }

        SetHostAttributes(source, target);
    }

    private static void SetHostAttributes(InodeAttributes source, string target)
    {
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(target, (UnixFileMode)(source.Mode & 0x1FF));
        }

        HostTimes.Set(target, source.AccessTime, source.ModifyTime);
    }

    private void FileToVolume(string source, InodeAttributes folder, string name, string targetPath)
    {
        const uint defaultPermissions = 0x1A4;
        InodeAttributes file;
        if (tree.Find(folder, name) is { } existing)
        {
            VolumeTree.Check(UnixMode.IsDirectory(existing.Attributes.Mode) ? FileSystemError.IsDirectory : FileSystemError.None, targetPath);
            var truncate = new AttributeChange { Fields = AttributeFields.Size, Size = 0 };
            VolumeTree.Check(tree.Files.SetAttributes(existing.Attributes.Inode, truncate, out file), targetPath);
        }
        else
        {
            NewInode node = NodeOf(source, UnixMode.Regular | PermissionsOf(source, defaultPermissions));
            VolumeTree.Check(tree.Files.Create(folder.Inode, Encoding.UTF8.GetBytes(name), node, out file), targetPath);
        }

        using SafeFileHandle handle = File.OpenHandle(source);
        using AlignedBuffer buffer = AlignedBuffer.Rent(ChunkByteCount);
        long offset = 0;
        while (RandomAccess.Read(handle, buffer.Span, offset) is > 0 and int byteCount)
        {
            // Runs of zeros become holes; the last byte is written in any case, by the size set below.
            if (buffer.Span[..byteCount].ContainsAnyExcept((byte)0))
            {
                VolumeTree.Check(tree.Files.Write(file.Inode, offset, buffer.Span[..byteCount], out _), targetPath);
            }

            offset += byteCount;
        }

        CopiedByteCount += offset;
        SetVolumeAttributes(source, file.Inode, offset, targetPath);
    }

    private void FolderToVolume(string source, InodeAttributes folder, string name, string targetPath)
    {
        const uint defaultPermissions = 0x1ED;
        InodeAttributes made;
        if (tree.Find(folder, name) is { } existing)
        {
            VolumeTree.Check(UnixMode.IsDirectory(existing.Attributes.Mode) ? FileSystemError.None : FileSystemError.NotDirectory, targetPath);
            made = existing.Attributes;
        }
        else
        {
            NewInode node = NodeOf(source, UnixMode.Directory | PermissionsOf(source, defaultPermissions));
            VolumeTree.Check(tree.Files.Create(folder.Inode, Encoding.UTF8.GetBytes(name), node, out made), targetPath);
        }

        foreach (string entry in Directory.EnumerateFileSystemEntries(source).Order(StringComparer.Ordinal))
        {
            string entryName = Path.GetFileName(entry);
            ToVolume(entry, made, entryName, $"{targetPath.TrimEnd('/')}/{entryName}", recursive: true);
        }

        SetVolumeAttributes(source, made.Inode, null, targetPath);
    }

    private void SetVolumeAttributes(string source, ulong inode, long? size, string targetPath)
    {
        (UnixTime accessTime, UnixTime modifyTime) = HostTimes.Get(source);
        var change = new AttributeChange
        {
            Fields = AttributeFields.ModifyTime | AttributeFields.AccessTime | (size is null ? AttributeFields.None : AttributeFields.Size),
            Size = size ?? 0,
            ModifyTime = modifyTime,
            AccessTime = accessTime,
        };
        VolumeTree.Check(tree.Files.SetAttributes(inode, change, out _), targetPath);
    }
}
