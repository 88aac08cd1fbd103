using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using VDiskCrypt.Core;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Ext4.Tests;

/// <summary>
/// One line for each name of a filesystem (type, mode, size, links, content) and one for each attribute, by us, by the
/// kernel and by debugfs, in the same words.
/// </summary>
internal static class FeatureTree
{
    private const string KernelScript = """
        find . -mindepth 1 ! -name lost+found -printf 'f %P %y %m %n '  \( -type f -printf '%s' -o -type l -printf '%l' -o -type d -printf '-' -o -printf '-' \) -printf '\n'
        find . -type f -exec sha256sum {} + | sed 's|^\([0-9a-f]*\)  \./\(.*\)|h \2 \1|'
        getfattr -R -h -P -d -m '^(user|trusted)\.' -e hex . | awk '/^# file: /{f=substr($0,9)} /=0x/{sub("=0x"," "); print "x " f " " $0} /^[a-z.A-Z0-9-]*$/ && NF {print "x " f " " $0 " "}'
        """;

    /// <summary>As the kernel lists the mounted filesystem, after the script.</summary>
    public static List<string> OfKernel(Ext4Image image, string script)
    {
        string output = image.WithKernel($"{{ {script}\n}} >/dev/null\n{KernelScript}");
        return Sorted(output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.TrimEnd()));
    }

    /// <summary>The hashes of files as debugfs copies them out.</summary>
    public static List<string> HashesOfDebugfs(Ext4Image image)
    {
        string target = image.Folder["dump"];
        Directory.CreateDirectory(target);
        image.Debugfs($"rdump / {target}");
        string output = ExternalTool.Bash(
            "cd \"$1\"; find . -type f -exec sha256sum {} + | sed 's|^\\([0-9a-f]*\\)  \\./\\(.*\\)|h \\2 \\1|'", target).Succeeded().Output;
        return Sorted(output.Split('\n', StringSplitOptions.RemoveEmptyEntries));
    }

    /// <summary>As we see it.</summary>
    public static List<string> Of(Session session)
    {
        var lines = new List<string>();
        Walk(session, "", session.FileSystem.RootInode, lines);
        return Sorted(lines);
    }

    public static void AssertSame(List<string> expected, List<string> actual)
    {
        string[] missing = [.. expected.Except(actual).Take(5)];
        string[] extra = [.. actual.Except(expected).Take(5)];
        Assert.True(missing.Length == 0 && extra.Length == 0, $"missing:\n{string.Join('\n', missing)}\nextra:\n{string.Join('\n', extra)}");
        Assert.Equal(expected.Count, actual.Count);
    }

    private static List<string> Sorted(IEnumerable<string> lines) => [.. lines.Order(StringComparer.Ordinal)];

    private static void Walk(Session session, string folder, ulong inode, List<string> lines)
    {
        foreach (string name in session.List(inode).Where(name => name != "lost+found"))
        {
            string path = folder.Length == 0 ? name : $"{folder}/{name}";
            Assert.Equal(FileSystemError.None, session.FileSystem.Lookup(inode, Encoding.UTF8.GetBytes(name), out InodeAttributes found));
            uint type = found.Mode & UnixMode.TypeMask;
            lines.Add($"f {path} {TypeLetter(type)} {Convert.ToString(found.Mode & 0xFFF, 8)} {found.LinkCount} {Detail(session, found)}");
            if (type == UnixMode.Regular)
            {
                lines.Add($"h {path} {Hash(session, found)}");
            }

            AddAttributes(session, path, found.Inode, lines);
            if (type == UnixMode.Directory)
            {
                Walk(session, path, found.Inode, lines);
            }

            session.FileSystem.Forget(found.Inode, 1);
        }
    }

    private static char TypeLetter(uint type) => type switch
    {
        UnixMode.Regular => 'f',
        UnixMode.Directory => 'd',
        UnixMode.SymbolicLink => 'l',
        UnixMode.Fifo => 'p',
        UnixMode.CharacterDevice => 'c',
        UnixMode.BlockDevice => 'b',
        _ => 's',
    };

    private static string Detail(Session session, in InodeAttributes attributes)
    {
        switch (attributes.Mode & UnixMode.TypeMask)
        {
            case UnixMode.Regular:
                return attributes.Size.ToString(CultureInfo.InvariantCulture);
            case UnixMode.SymbolicLink:
                var target = new byte[4096];
                Assert.Equal(FileSystemError.None, session.FileSystem.ReadLink(attributes.Inode, target, out int byteCount));
                return Encoding.UTF8.GetString(target, 0, byteCount);
            default:
                return "-";
        }
    }

    private static string Hash(Session session, in InodeAttributes attributes)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[1 << 20];
        for (long offset = 0; offset < attributes.Size;)
        {
            Assert.Equal(FileSystemError.None, session.FileSystem.Read(attributes.Inode, offset, buffer, out int read));
            Assert.True(read > 0);
            hash.AppendData(buffer, 0, read);
            offset += read;
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static void AddAttributes(Session session, string path, ulong inode, List<string> lines)
    {
        var names = new byte[65536];
        Assert.Equal(FileSystemError.None, session.FileSystem.ListExtendedAttributes(inode, names, out int length));
        foreach (string name in Encoding.UTF8.GetString(names, 0, length).Split('\0', StringSplitOptions.RemoveEmptyEntries))
        {
            var value = new byte[65536];
            Assert.Equal(FileSystemError.None, session.FileSystem.GetExtendedAttribute(inode, Encoding.UTF8.GetBytes(name), value, out int count));
            lines.Add($"x {path} {name} {Convert.ToHexStringLower(value.AsSpan(0, count))}".TrimEnd());
        }
    }
}
