using System.Text;
using VDiskCrypt.Core;
using Xunit;

namespace VDiskCrypt.Ext4.Tests;

/// <summary>Short forms of the calls for extended attributes.</summary>
internal static class AttributeKit
{
    /// <summary>What an image may be like: block sizes, inodes without and with room for attributes, without checksums.</summary>
    public static TheoryData<string> Formats =>
    [
        "-b 1024 -I 128", "-b 1024 -I 256", "-b 4096 -I 256", "-b 4096 -I 1024", "-b 4096 -I 256 -O ^metadata_csum",
    ];

    public static FileSystemError SetAttribute(
        this Session session, ulong inode, string name, ReadOnlySpan<byte> value, SetAttributeMode mode = SetAttributeMode.CreateOrReplace) =>
        session.FileSystem.SetExtendedAttribute(inode, Encoding.UTF8.GetBytes(name), value, mode);

    public static FileSystemError RemoveAttribute(this Session session, ulong inode, string name) =>
        session.FileSystem.RemoveExtendedAttribute(inode, Encoding.UTF8.GetBytes(name));

    /// <summary>Null for none. The size that is asked for first is the size that comes.</summary>
    public static byte[]? GetAttribute(this Session session, ulong inode, string name)
    {
        byte[] key = Encoding.UTF8.GetBytes(name);
        FileSystemError error = session.FileSystem.GetExtendedAttribute(inode, key, [], out int size);
        if (error == FileSystemError.NoAttribute)
        {
            return null;
        }

        Assert.Equal(FileSystemError.None, error);
        var value = new byte[size];
        Assert.Equal(FileSystemError.None, session.FileSystem.GetExtendedAttribute(inode, key, value, out int read));
        Assert.Equal(size, read);
        return value;
    }

    public static List<string> ListAttributes(this Session session, ulong inode)
    {
        Assert.Equal(FileSystemError.None, session.FileSystem.ListExtendedAttributes(inode, [], out int size));
        var names = new byte[size];
        Assert.Equal(FileSystemError.None, session.FileSystem.ListExtendedAttributes(inode, names, out int read));
        Assert.Equal(size, read);
        Assert.True(size == 0 || names[^1] == 0);
        List<string> list = [.. Encoding.UTF8.GetString(names).Split('\0', StringSplitOptions.RemoveEmptyEntries)];
        list.Sort(StringComparer.Ordinal);
        return list;
    }

    public static byte[] Bytes(int count, int seed = 1)
    {
        var bytes = new byte[count];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    /// <summary>A list in the kernel's form: "u:", "u:5", "g:", "g:5", "m:", "o:", each with its permissions as a digit.</summary>
    public static byte[] AccessList(params string[] entries)
    {
        using var bytes = new MemoryStream();
        using var writer = new BinaryWriter(bytes);
        writer.Write(2u);
        foreach (string entry in entries)
        {
            string[] parts = entry.Split(':');
            bool isNamed = parts[1].Length > 0;
            writer.Write((ushort)(parts[0] switch { "u" => isNamed ? 2 : 1, "g" => isNamed ? 8 : 4, "m" => 16, _ => 32 }));
            writer.Write(ushort.Parse(parts[2]));
            writer.Write(isNamed ? uint.Parse(parts[1]) : uint.MaxValue);
        }

        writer.Flush();
        return bytes.ToArray();
    }
}
