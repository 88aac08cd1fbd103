using VDiskCrypt.Core;
using Xunit;

namespace VDiskCrypt.Ext4.Tests;

/// <summary>A tree in memory that does what the filesystem should do, and the random operations that both get.</summary>
internal sealed class Ext4FileSystemModel(Session session, int seed, string root, int largestFile = 600_000)
{
    private const int NameCount = 24;

    private readonly Random _random = new(seed);
    private readonly Node _root = new(true) { Inode = session.Find(root) };

    internal sealed class Node(bool isDirectory)
    {
        public bool IsDirectory { get; } = isDirectory;

        public SortedDictionary<string, Node> Children { get; } = new(StringComparer.Ordinal);

        public byte[] Content { get; set; } = [];

        public ulong Inode { get; set; }

        public int Links { get; set; }
    }

    public void Run(int operationCount)
    {
        for (int i = 0; i < operationCount; i++)
        {
            Step();
        }
    }

    /// <summary>What the session shows is what the model holds.</summary>
    public void Verify(Session other) => Verify(other, root, _root);

    private void Verify(Session other, string path, Node node)
    {
        Assert.Equal(node.Children.Keys, other.List(path).Order(StringComparer.Ordinal));
        foreach ((string name, Node child) in node.Children)
        {
            if (child.IsDirectory)
            {
                Verify(other, $"{path}/{name}", child);
            }
            else
            {
                byte[] content = other.ReadAll($"{path}/{name}");
                Assert.True(child.Content.AsSpan().SequenceEqual(content), $"{path}/{name} differs (seed {seed})");
                Assert.Equal((uint)child.Links, other.Attributes(other.Find($"{path}/{name}")).LinkCount);
            }
        }
    }

    private void Step()
    {
        Ext4FileSystem fs = session.FileSystem;
        (Node directory, string name) = (RandomDirectory(), $"name-{_random.Next(NameCount)}{new string('n', _random.Next(3) * 30)}");
        byte[] bytes = System.Text.Encoding.UTF8.GetBytes(name);
        directory.Children.TryGetValue(name, out Node? node);
        switch (_random.Next(14))
        {
            case 0:
            case 1:
                Make(directory, name, bytes, node, isDirectory: false);
                break;
            case 2:
                Make(directory, name, bytes, node, isDirectory: true);
                break;
            case 3:
                Expect(node is null ? FileSystemError.NotFound : node.IsDirectory ? FileSystemError.IsDirectory : FileSystemError.None,
                    fs.Unlink(directory.Inode, bytes), () => Drop(directory, name));
                break;
            case 4:
                Expect(node is null ? FileSystemError.NotFound
                    : !node.IsDirectory ? FileSystemError.NotDirectory
                    : node.Children.Count > 0 ? FileSystemError.NotEmpty : FileSystemError.None,
                    fs.RemoveDirectory(directory.Inode, bytes), () => directory.Children.Remove(name));
                break;
            case 5:
                Rename(directory, name, bytes);
                break;
            case 6 when node is { IsDirectory: false }:
                Node target = RandomDirectory();
                string linkName = $"name-{_random.Next(NameCount)}";
                Expect(target.Children.ContainsKey(linkName) ? FileSystemError.AlreadyExists : FileSystemError.None,
                    fs.Link(node.Inode, target.Inode, System.Text.Encoding.UTF8.GetBytes(linkName), out _), () =>
                    {
                        target.Children.Add(linkName, node);
                        node.Links++;
                    });
                break;
            default:
                if (node is { IsDirectory: false })
                {
                    Change(node);
                }

                break;
        }
    }

    private void Change(Node node)
    {
        Ext4FileSystem fs = session.FileSystem;
        long offset = _random.Next(largestFile);
        int count = _random.Next(3) == 0 ? _random.Next(1, 100_000) : _random.Next(1, 6000);
        switch (_random.Next(10))
        {
            case 0:
                Assert.Equal(FileSystemError.None, session.Truncate(node.Inode, offset));
                Resize(node, offset);
                break;
            case 1:
                Assert.Equal(FileSystemError.None, fs.Allocate(node.Inode, AllocateFlags.None, offset, count));
                Resize(node, Math.Max(node.Content.Length, offset + count));
                break;
            case 2:
                Assert.Equal(FileSystemError.None, fs.Allocate(node.Inode, AllocateFlags.PunchHole | AllocateFlags.KeepSize, offset, count));
                Zero(node, offset, count);
                break;
            case 3:
                Assert.Equal(FileSystemError.None, fs.Allocate(node.Inode, AllocateFlags.ZeroRange | AllocateFlags.KeepSize, offset, count));
                Zero(node, offset, count);
                break;
            case 4:
                Assert.Equal(FileSystemError.None, fs.Allocate(node.Inode, AllocateFlags.KeepSize, offset, count));
                break;
            case 5:
                byte[] read = session.Read(node.Inode, offset, count);
                var start = (int)Math.Min(offset, node.Content.Length);
                Assert.True(node.Content.AsSpan(start, Math.Min(count, node.Content.Length - start)).SequenceEqual(read), $"seed {seed}");
                break;
            case 6:
                offset &= ~4095;
                count = (count + 4095) & ~4095;
                goto default;
            default:
                var bytes = new byte[count];
                _random.NextBytes(bytes);
                session.Write(node.Inode, offset, bytes);
                Resize(node, Math.Max(node.Content.Length, offset + count));
                bytes.CopyTo(node.Content, offset);
                break;
        }
    }

    private void Make(Node directory, string name, byte[] bytes, Node? existing, bool isDirectory)
    {
        uint mode = isDirectory ? UnixMode.Directory | 0x1ED : UnixMode.Regular | 0x1A4;
        FileSystemError error = session.FileSystem.Create(
            directory.Inode, bytes, new NewInode { Mode = mode }, out InodeAttributes made);
        Expect(existing is null ? FileSystemError.None : FileSystemError.AlreadyExists, error, () =>
            directory.Children.Add(name, new Node(isDirectory) { Inode = made.Inode, Links = 1 }));
    }

    private void Rename(Node from, string name, byte[] bytes)
    {
        Node to = RandomDirectory();
        string newName = $"name-{_random.Next(NameCount)}";
        RenameFlags flags = _random.Next(4) switch { 0 => RenameFlags.NoReplace, 1 => RenameFlags.Exchange, _ => RenameFlags.None };
        from.Children.TryGetValue(name, out Node? source);
        to.Children.TryGetValue(newName, out Node? target);
        FileSystemError expected =
            source is null ? FileSystemError.NotFound
            : flags == RenameFlags.Exchange && target is null ? FileSystemError.NotFound
            : flags == RenameFlags.NoReplace && target is not null ? FileSystemError.AlreadyExists
            : source == target ? FileSystemError.None
            : from != to && (source.IsDirectory && IsInside(to, source)
                || flags == RenameFlags.Exchange && target!.IsDirectory && IsInside(from, target)) ? FileSystemError.InvalidArgument
            : flags == RenameFlags.Exchange || target is null ? FileSystemError.None
            : source.IsDirectory && !target.IsDirectory ? FileSystemError.NotDirectory
            : !source.IsDirectory && target.IsDirectory ? FileSystemError.IsDirectory
            : target.IsDirectory && target.Children.Count > 0 ? FileSystemError.NotEmpty
            : FileSystemError.None;
        FileSystemError actual = session.FileSystem.Rename(
            from.Inode, bytes, to.Inode, System.Text.Encoding.UTF8.GetBytes(newName), flags);
        Expect(expected, actual, () =>
        {
            if (source == target)
            {
                return;
            }

            if (flags == RenameFlags.Exchange)
            {
                (from.Children[name], to.Children[newName]) = (target!, source!);
                return;
            }

            if (target is not null)
            {
                Drop(to, newName);
            }

            from.Children.Remove(name);
            to.Children[newName] = source!;
        });
    }

    private static bool IsInside(Node directory, Node ancestor) =>
        directory == ancestor || ancestor.Children.Values.Any(child => child.IsDirectory && IsInside(directory, child));

    private void Drop(Node directory, string name)
    {
        Node node = directory.Children[name];
        node.Links--;
        directory.Children.Remove(name);
        if (_random.Next(2) == 0)
        {
            session.FileSystem.Forget(node.Inode, ulong.MaxValue);
        }
    }

    private void Expect(FileSystemError expected, FileSystemError actual, Action apply)
    {
        Assert.True(expected == actual, $"expected {expected}, got {actual} (seed {seed})");
        if (actual == FileSystemError.None)
        {
            apply();
        }
    }

    private Node RandomDirectory()
    {
        Node node = _root;
        while (_random.Next(3) != 0)
        {
            Node[] children = [.. node.Children.Values.Where(child => child.IsDirectory)];
            if (children.Length == 0)
            {
                return node;
            }

            node = children[_random.Next(children.Length)];
        }

        return node;
    }

    private static void Resize(Node node, long size)
    {
        byte[] content = node.Content;
        Array.Resize(ref content, (int)size);
        node.Content = content;
    }

    private static void Zero(Node node, long offset, long count)
    {
        long end = Math.Min(node.Content.Length, offset + count);
        if (offset < end)
        {
            node.Content.AsSpan((int)offset, (int)(end - offset)).Clear();
        }
    }
}
