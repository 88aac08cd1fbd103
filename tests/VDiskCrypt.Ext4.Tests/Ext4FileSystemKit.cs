using System.IO.Compression;
using System.Text;
using Microsoft.Win32.SafeHandles;
using VDiskCrypt.Core;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Ext4.Tests;

/// <summary>A file as a block device.</summary>
internal sealed class FileBlockDevice(string path, bool isReadOnly = false) : IBlockDevice
{
    private readonly SafeFileHandle _file = File.OpenHandle(
        path, FileMode.Open, isReadOnly ? FileAccess.Read : FileAccess.ReadWrite, FileShare.ReadWrite);

    /// <summary>Called before each write; throws to fail it.</summary>
    public Action<long, int>? OnWrite { get; set; }

    /// <summary>As <see cref="OnWrite"/>, with the bytes.</summary>
    public ReadOnlySpanAction? OnWritten { get; set; }

    /// <summary>Called before each read.</summary>
    public Action<long, int>? OnRead { get; set; }

    internal delegate void ReadOnlySpanAction(long byteOffset, ReadOnlySpan<byte> source);

    public long DiscardedByteCount { get; private set; }

    public long ByteLength => RandomAccess.GetLength(_file);

    public int BlockByteSize => 512;

    public bool IsReadOnly => isReadOnly;

    public void Read(long byteOffset, Span<byte> destination)
    {
        OnRead?.Invoke(byteOffset, destination.Length);
        Assert.InRange(byteOffset + destination.Length, 0, ByteLength);
        for (int done = 0; done < destination.Length;)
        {
            done += RandomAccess.Read(_file, destination[done..], byteOffset + done);
        }
    }

    public void Write(long byteOffset, ReadOnlySpan<byte> source, bool forceUnitAccess = false)
    {
        OnWrite?.Invoke(byteOffset, source.Length);
        OnWritten?.Invoke(byteOffset, source);
        Assert.InRange(byteOffset + source.Length, 0, ByteLength);
        RandomAccess.Write(_file, source, byteOffset);
    }

    public void Flush()
    {
    }

    public void Discard(long byteOffset, long byteCount)
    {
        DiscardedByteCount += byteCount;
        WriteZeroes(byteOffset, byteCount);
    }

    public void WriteZeroes(long byteOffset, long byteCount) => Write(byteOffset, new byte[byteCount]);

    public void Dispose() => _file.Dispose();
}

/// <summary>An image file with an ext4 filesystem, and the tools that judge it.</summary>
internal sealed class Ext4Image : IDisposable
{
    private readonly ScratchFolder _folder = new();

    public Ext4Image(string size, params string[] mke2fsArguments)
    {
        ExternalTool.Require("mke2fs");
        ExternalTool.Run("truncate", "-s", size, FullPath).Succeeded();
        ExternalTool.Run("mke2fs", ["-q", "-F", "-t", "ext4", .. mke2fsArguments, FullPath]).Succeeded();
    }

    private Ext4Image()
    {
    }

    private Ext4Image(string compressedImage)
    {
        using var source = new GZipStream(File.OpenRead(compressedImage), CompressionMode.Decompress);
        using FileStream target = File.Create(FullPath);
        source.CopyTo(target);
    }

    public string FullPath => _folder["fs.img"];

    public ScratchFolder Folder => _folder;

    /// <summary>What mke2fs makes with these arguments and no others.</summary>
    public static Ext4Image Exactly(string size, params string[] mke2fsArguments)
    {
        ExternalTool.Require("mke2fs");
        var image = new Ext4Image();
        ExternalTool.Run("truncate", "-s", size, image.FullPath).Succeeded();
        ExternalTool.Run("mke2fs", ["-q", "-F", .. mke2fsArguments, image.FullPath]).Succeeded();
        return image;
    }

    /// <summary>A copy of an image under tests/golden.</summary>
    public static Ext4Image FromGolden(string folder, string name) =>
        new(Path.Combine(GoldenFolder.Find(folder), name + ".img.gz"));

    public FileBlockDevice OpenDevice(bool isReadOnly = false) => new(FullPath, isReadOnly);

    /// <summary>e2fsck finds nothing wrong.</summary>
    public void AssertClean()
    {
        ToolResult result = ExternalTool.Run("e2fsck", "-fn", FullPath);
        // A tree that e2fsck would pack better is no error: the kernel leaves such trees too.
        IEnumerable<string> complaints = result.Output.Split('\n').Where(line =>
            line.Contains("? no") && !line.Contains("could be narrower") && !line.Contains("could be shorter"));
        Assert.True(result.ExitCode == 0 && !complaints.Any(), result.Output + result.Error);
    }

    public string Debugfs(string command) => ExternalTool.Run("debugfs", "-R", command, FullPath).Succeeded().Output;

    /// <summary>Runs a script with the filesystem mounted by the kernel in the working folder.</summary>
    public string WithKernel(string script, bool isReadOnly = false)
    {
        if (Environment.UserName != "root")
        {
            Assert.Skip("mounting by the kernel needs root");
        }

        string options = isReadOnly ? "loop,ro,noload" : "loop";
        return ExternalTool.Bash(
            $"set -e; mkdir -p \"$2\"; mount -o {options} \"$1\" \"$2\" || exit 77; trap 'cd /; umount \"$2\"' EXIT; cd \"$2\"\n{script}",
            FullPath, _folder["mnt"]).Succeeded().Output;
    }

    public void Dispose() => _folder.Dispose();
}

/// <summary>Short forms of filesystem calls, by path, that assert success.</summary>
internal sealed class Session(Ext4Image image, Ext4Options? options = null) : IDisposable
{
    public FileBlockDevice Device { get; } = image.OpenDevice(options?.ReadOnly ?? false);

    public Ext4FileSystem FileSystem => field ??= Ext4FileSystem.Open(Device, options ?? new Ext4Options());

    public ulong Find(string path)
    {
        ulong inode = FileSystem.RootInode;
        foreach (string part in path.Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            Assert.Equal(FileSystemError.None, FileSystem.Lookup(inode, Encoding.UTF8.GetBytes(part), out InodeAttributes found));
            inode = found.Inode;
        }

        return inode;
    }

    public bool Exists(string path)
    {
        (ulong parent, byte[] name) = Split(path);
        return FileSystem.Lookup(parent, name, out _) == FileSystemError.None;
    }

    public ulong MakeDirectory(string path, uint mode = 0x1ED) => Make(path, UnixMode.Directory | mode);

    public ulong MakeFile(string path, byte[]? content = null, uint mode = 0x1A4)
    {
        ulong inode = Make(path, UnixMode.Regular | mode);
        if (content is not null)
        {
            Write(inode, 0, content);
        }

        return inode;
    }

    public ulong Make(string path, uint mode, uint major = 0, uint minor = 0)
    {
        (ulong parent, byte[] name) = Split(path);
        var node = new NewInode { Mode = mode, DeviceMajor = major, DeviceMinor = minor };
        Assert.Equal(FileSystemError.None, FileSystem.Create(parent, name, node, out InodeAttributes made));
        return made.Inode;
    }

    public void Write(ulong inode, long offset, byte[] content)
    {
        Assert.Equal(FileSystemError.None, FileSystem.Write(inode, offset, content, out int written));
        Assert.Equal(content.Length, written);
    }

    public byte[] Read(ulong inode, long offset, int count)
    {
        var bytes = new byte[count];
        Assert.Equal(FileSystemError.None, FileSystem.Read(inode, offset, bytes, out int read));
        return bytes[..read];
    }

    public byte[] ReadAll(string path)
    {
        ulong inode = Find(path);
        return Read(inode, 0, checked((int)Attributes(inode).Size) + 1);
    }

    public InodeAttributes Attributes(ulong inode)
    {
        Assert.Equal(FileSystemError.None, FileSystem.GetAttributes(inode, out InodeAttributes attributes));
        return attributes;
    }

    public FileSystemError Unlink(string path)
    {
        (ulong parent, byte[] name) = Split(path);
        return FileSystem.Unlink(parent, name);
    }

    public FileSystemError RemoveDirectory(string path)
    {
        (ulong parent, byte[] name) = Split(path);
        return FileSystem.RemoveDirectory(parent, name);
    }

    public FileSystemError Rename(string from, string to, RenameFlags flags = RenameFlags.None)
    {
        (ulong parent, byte[] name) = Split(from);
        (ulong newParent, byte[] newName) = Split(to);
        return FileSystem.Rename(parent, name, newParent, newName, flags);
    }

    public FileSystemError Truncate(ulong inode, long size) =>
        FileSystem.SetAttributes(inode, new AttributeChange { Fields = AttributeFields.Size, Size = size }, out _);

    public List<string> List(string path) => List(Find(path));

    public List<string> List(ulong inode)
    {
        var sink = new ListSink();
        Assert.Equal(FileSystemError.None, FileSystem.ReadDirectory(inode, 0, false, sink));
        return sink.Names;
    }

    public void Dispose()
    {
        FileSystem.Dispose();
        Device.Dispose();
    }

    public (ulong Parent, byte[] Name) Split(string path)
    {
        int slash = path.LastIndexOf('/');
        return (Find(slash < 0 ? "" : path[..slash]), Encoding.UTF8.GetBytes(path[(slash + 1)..]));
    }
}

internal sealed class ListSink(int limit = int.MaxValue) : IDirectorySink
{
    public List<string> Names { get; } = [];

    public ulong LastCookie { get; private set; }

    public bool TryAdd(ReadOnlySpan<byte> name, ulong inode, uint type, ulong nextCookie, in InodeAttributes attributes)
    {
        if (Names.Count >= limit)
        {
            return false;
        }

        LastCookie = nextCookie;
        string text = Encoding.UTF8.GetString(name);
        if (text is not ("." or ".."))
        {
            Names.Add(text);
        }

        return true;
    }
}
