using System.Globalization;
using System.IO.Compression;
using System.Security.Cryptography;
using System.Text;
using VDiskCrypt.Core;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Ext4.Tests;

/// <summary>
/// Filesystems that mke2fs made and the kernel filled (tests/golden has how): extent trees of depth 2, hashed directories
/// of two levels, shared blocks of attributes, long symbolic links, every type of inode.
/// </summary>
public sealed class KernelMadeFileSystemTests
{
    private const string Folder = "ext4-linux-6.18-mke2fs-1.47.0";

    [Theory]
    [InlineData("small")]
    [InlineData("default")]
    public void Everything_is_read_as_the_kernel_wrote_it(string name)
    {
        using Ext4Image image = Ext4Image.FromGolden(Folder, name);
        AssertExtentDepth(image, 2);
        using var session = new Session(image, new Ext4Options { ReadOnly = true });
        List<string> expected = Lines(name + ".list.gz");
        Assert.Equal(expected.Order(StringComparer.Ordinal), Describe(session).Order(StringComparer.Ordinal));
        Assert.True(expected.Count > 3000);
    }

    [Theory]
    [InlineData("small")]
    [InlineData("default")]
    public void Every_extended_attribute_is_read_as_the_kernel_wrote_it(string name)
    {
        using Ext4Image image = Ext4Image.FromGolden(Folder, name);
        using var session = new Session(image, new Ext4Options { ReadOnly = true });
        foreach (string line in Lines(name + ".attributes.gz"))
        {
            string[] fields = line.Split(' ');
            ulong inode = session.Find(Encoding.UTF8.GetString(Convert.FromHexString(fields[0])));
            var value = new byte[4096];
            Assert.Equal(FileSystemError.None, session.FileSystem.GetExtendedAttribute(
                inode, Convert.FromHexString(fields[1]), value, out int byteCount));
            Assert.Equal(fields[2] == "-" ? "" : fields[2], Convert.ToHexStringLower(value.AsSpan(0, byteCount)));
        }
    }

    [Theory]
    [InlineData("small")]
    [InlineData("default")]
    public void What_the_kernel_made_is_changed_and_e2fsck_finds_nothing(string name)
    {
        using Ext4Image image = Ext4Image.FromGolden(Folder, name);
        var random = new Random(11);
        byte[] patch = new byte[5000];
        random.NextBytes(patch);
        using (var session = new Session(image))
        {
            ulong fragmented = session.Find("fragmented");
            for (int i = 0; i < 300; i++)
            {
                session.Write(fragmented, random.Next(3_000_000), patch[..random.Next(1, 5000)]);
            }

            session.Write(session.Find("sparse"), 1L << 31, patch);
            session.Write(session.Find("preallocated"), 30_000, patch);
            string[] entries = [.. session.List("large").Where(entry => entry.StartsWith("entry", StringComparison.Ordinal))];
            for (int i = 0; i < entries.Length; i += 3)
            {
                Assert.Equal(FileSystemError.None, session.Unlink("large/" + entries[i]));
            }

            for (int i = 0; i < 400; i++)
            {
                session.MakeFile($"large/new-{i}", [1, 2, 3]);
            }

            for (int i = 0; i < 60; i++)
            {
                Assert.Equal(FileSystemError.None, session.Unlink($"small/{i:d3}-{new string('y', 20)}"));
            }

            Assert.Equal(FileSystemError.None, session.Unlink("acl/inherits2"));
            Assert.Equal(FileSystemError.None, session.Unlink("link-long"));
            Assert.Equal(FileSystemError.None, session.Truncate(session.Find("fragmented"), 1_000_000));
            Assert.Equal(FileSystemError.None, session.Rename("deep/er", "moved"));
        }

        image.AssertClean();
        using var again = new Session(image);
        Assert.Equal(patch, again.Read(again.Find("sparse"), 1L << 31, patch.Length));
        Assert.Equal([1, 2, 3], again.ReadAll("large/new-399"));
        Assert.True(again.Exists("moved/than/this/one"));
        Assert.False(again.Exists("acl/inherits2"));
    }

    private static void AssertExtentDepth(Ext4Image image, int depth) =>
        Assert.Contains($"ETB{depth - 1}", image.Debugfs("stat fragmented"));

    private static List<string> Lines(string file)
    {
        using var reader = new StreamReader(new GZipStream(
            File.OpenRead(Path.Combine(GoldenFolder.Find(Folder), file)), CompressionMode.Decompress));
        return [.. reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.TrimEnd())];
    }

    private static List<string> Describe(Session session)
    {
        var lines = new List<string>();
        Walk(session, "", lines);
        return lines;
    }

    private static void Walk(Session session, string folder, List<string> lines)
    {
        foreach (string name in session.List(folder).Where(name => name != "lost+found"))
        {
            string path = folder.Length == 0 ? name : $"{folder}/{name}";
            InodeAttributes attributes = session.Attributes(session.Find(path));
            lines.Add(string.Create(CultureInfo.InvariantCulture,
                $"{Convert.ToHexStringLower(Encoding.UTF8.GetBytes(path))} {attributes.Mode:x} {attributes.UserId}:{attributes.GroupId} {attributes.LinkCount} {attributes.Size} {Decimal(attributes.ModifyTime)} {ContentOf(session, attributes)}"));
            if (UnixMode.IsDirectory(attributes.Mode))
            {
                Walk(session, path, lines);
            }
        }
    }

    /// <summary>As stat(1) prints it: one decimal number, also before 1970.</summary>
    private static string Decimal(UnixTime time) => time.Seconds < 0 && time.Nanoseconds > 0
        ? $"{time.Seconds + 1}.{1_000_000_000 - time.Nanoseconds:d9}"
        : $"{time.Seconds}.{time.Nanoseconds:d9}";

    /// <summary>What the last column of the list holds; of very large files the last 100,000 bytes.</summary>
    private static string ContentOf(Session session, in InodeAttributes attributes)
    {
        const int tail = 100_000;
        switch (attributes.Mode & UnixMode.TypeMask)
        {
            case UnixMode.Regular:
                return Hash(attributes.Size < 100_000_000
                    ? session.Read(attributes.Inode, 0, (int)attributes.Size)
                    : session.Read(attributes.Inode, attributes.Size - tail, tail));
            case UnixMode.SymbolicLink:
                var target = new byte[4096];
                Assert.Equal(FileSystemError.None, session.FileSystem.ReadLink(attributes.Inode, target, out int byteCount));
                return Hash(target.AsSpan(0, byteCount));
            case UnixMode.CharacterDevice or UnixMode.BlockDevice:
                return $"{attributes.DeviceMajor}:{attributes.DeviceMinor}";
            default:
                return "-";
        }
    }

    private static string Hash(ReadOnlySpan<byte> bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));
}
