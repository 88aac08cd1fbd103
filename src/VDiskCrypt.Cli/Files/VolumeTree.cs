using System.Text;
using VDiskCrypt.Core;

namespace VDiskCrypt.Cli;

/// <summary>An entry of a folder in a volume.</summary>
internal sealed record VolumeEntry(string Name, InodeAttributes Attributes)
{
    /// <summary>False where the name's bytes are not UTF-8, so that <see cref="Name"/> is only for showing.</summary>
    public bool HasHostName { get; init; } = true;
}

/// <summary>Paths, entries and contents of a filesystem without a mount.</summary>
internal sealed class VolumeTree(IFileSystem files)
{
    /// <summary>As the kernel's MAXSYMLINKS.</summary>
    private const int MaximumLinks = 40;

    private const int MaximumTargetByteCount = 4096;
    private const int MaximumNameByteCount = 255;

    public IFileSystem Files { get; } = files;

    /// <exception cref="VDiskException">NotFound, with the part of the path that is missing.</exception>
    public InodeAttributes Resolve(string path, bool followLast = true)
    {
        int links = 0;
        return Resolve(Files.RootInode, path, followLast, ref links);
    }

    /// <summary>The folder that a new name goes to, and the name.</summary>
    public (InodeAttributes Folder, string Name) ResolveParent(string path)
    {
        string trimmed = path.TrimEnd('/');
        int slash = trimmed.LastIndexOf('/');
        return (Resolve(slash < 0 ? "/" : trimmed[..(slash + 1)]), trimmed[(slash + 1)..]);
    }

    public VolumeEntry? Find(InodeAttributes folder, string name)
    {
        FileSystemError error = Files.Lookup(folder.Inode, Encoding.UTF8.GetBytes(name), out InodeAttributes attributes);
        if (error == FileSystemError.NotFound)
        {
            return null;
        }

        Check(error, name);
        return new VolumeEntry(name, attributes);
    }

    /// <summary>The entries of a folder by name, without "." and "..".</summary>
    public List<VolumeEntry> List(InodeAttributes folder, string path)
    {
        var sink = new EntrySink();
        Check(Files.ReadDirectory(folder.Inode, 0, withAttributes: true, sink), path);
        sink.Entries.Sort((left, right) => string.CompareOrdinal(left.Name, right.Name));
        return sink.Entries;
    }

    public string LinkTarget(InodeAttributes link, string path)
    {
        Span<byte> target = stackalloc byte[MaximumTargetByteCount];
        Check(Files.ReadLink(link.Inode, target, out int byteCount), path);
        return Encoding.UTF8.GetString(target[..byteCount]);
    }

    /// <summary>Turns an outcome into the failure that the user is shown.</summary>
    public static void Check(FileSystemError error, string path)
    {
        if (error == FileSystemError.None)
        {
            return;
        }

        (FailureKind kind, string what) = error switch
        {
            FileSystemError.NotFound => (FailureKind.NotFound, "no such file or folder"),
            FileSystemError.NotDirectory => (FailureKind.NotFound, "not a folder"),
            FileSystemError.IsDirectory => (FailureKind.Usage, "is a folder"),
            FileSystemError.AlreadyExists => (FailureKind.Usage, "exists already"),
            FileSystemError.NoSpace or FileSystemError.QuotaExceeded => (FailureKind.NoSpace, "no space left in the volume"),
            FileSystemError.NameTooLong => (FailureKind.Usage, $"a name longer than {MaximumNameByteCount} bytes"),
            FileSystemError.ReadOnly => (FailureKind.ReadOnly, "the volume is read-only"),
            FileSystemError.InputOutput => (FailureKind.InputOutput, "I/O error"),
            _ => (FailureKind.Unsupported, $"the filesystem answered {error}"),
        };
        throw new VDiskException(kind, what, path);
    }

    private InodeAttributes Resolve(ulong start, string path, bool followLast, ref int links)
    {
        Check(Files.GetAttributes(path.StartsWith('/') ? Files.RootInode : start, out InodeAttributes current), "/");
        string[] names = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        for (int i = 0; i < names.Length; i++)
        {
            ulong folder = current.Inode;
            Check(Files.Lookup(folder, Encoding.UTF8.GetBytes(names[i]), out current), string.Join('/', names[..(i + 1)]));
            bool isLast = i == names.Length - 1 && !path.EndsWith('/');
            if (UnixMode.IsSymbolicLink(current.Mode) && (!isLast || followLast))
            {
                if (++links > MaximumLinks)
                {
                    throw new VDiskException(FailureKind.NotFound, "too many symbolic links", path);
                }

                current = Resolve(folder, LinkTarget(current, path), followLast: true, ref links);
            }
        }

        return current;
    }

    private sealed class EntrySink : IDirectorySink
    {
        public List<VolumeEntry> Entries { get; } = [];

        public bool TryAdd(ReadOnlySpan<byte> name, ulong inode, uint type, ulong nextCookie, in InodeAttributes attributes)
        {
            if (!name.SequenceEqual("."u8) && !name.SequenceEqual(".."u8))
            {
                Entries.Add(new VolumeEntry(Encoding.UTF8.GetString(name), attributes) { HasHostName = System.Text.Unicode.Utf8.IsValid(name) });
            }

            return true;
        }
    }
}
