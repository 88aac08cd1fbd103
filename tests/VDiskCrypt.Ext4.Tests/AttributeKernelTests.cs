using System.Globalization;
using System.Text;
using VDiskCrypt.Core;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Ext4.Tests;

/// <summary>What the kernel's ext4 writes we read, and the other way round.</summary>
[Trait("needs", "root")]
public sealed class AttributeKernelTests
{
    private const string Access = "system.posix_acl_access";
    private const string Default = "system.posix_acl_default";

    [Theory]
    [MemberData(nameof(AttributeKit.Formats), MemberType = typeof(AttributeKit))]
    public void The_kernels_attributes_and_lists_are_read_and_changed(string format)
    {
        Require();
        using var image = new Ext4Image("16M", format.Split(' '));
        image.WithKernel("""
            umask 022; touch f; setfattr -n user.small -v tiny f; setfattr -n trusted.t -v x f
            setfattr -n user.large -v "$(printf 'l%.0s' $(seq 600))" f
            setfacl -m u:12345:r,g:9:rw f; mkdir d; setfacl -d -m g:54321:rwx d; mkdir d/e; touch d/f
            """);
        using (var session = new Session(image))
        {
            ulong file = session.Find("/f");
            Assert.Equal([Access, "trusted.t", "user.large", "user.small"], session.ListAttributes(file));
            Assert.Equal(Encoding.ASCII.GetBytes(new string('l', 600)), session.GetAttribute(file, "user.large"));
            Assert.Equal("tiny"u8.ToArray(), session.GetAttribute(file, "user.small"));
            Assert.Equal(
                AttributeKit.AccessList("u::6", "u:12345:4", "g::4", "g:9:6", "m::6", "o::4"), session.GetAttribute(file, Access));
            byte[] inherited = AttributeKit.AccessList("u::7", "g::5", "g:54321:7", "m::7", "o::5");
            Assert.Equal(inherited, session.GetAttribute(session.Find("/d"), Default));
            Assert.Equal(inherited, session.GetAttribute(session.Find("/d/e"), Default));
            Assert.Equal(
                AttributeKit.AccessList("u::6", "g::5", "g:54321:7", "m::6", "o::4"),
                session.GetAttribute(session.Find("/d/f"), Access));
            session.SetAttribute(file, "user.small", "changed here"u8);
            session.RemoveAttribute(file, "user.large");
            session.SetAttribute(file, Access, AttributeKit.AccessList("u::6", "u:7:7", "g::4", "m::7", "o::0"));
        }

        image.AssertClean();
        image.WithKernel("""
            [ "$(getfattr --only-values -n user.small f)" = 'changed here' ]; [ "$(getfattr --only-values -n trusted.t f)" = x ]
            getfacl -cn f | grep -q '^user:7:rwx'; ! getfattr -n user.large f 2>/dev/null; [ $(stat -c %a f) = 670 ]
            """);
        image.AssertClean();
    }

    [Theory]
    [MemberData(nameof(AttributeKit.Formats), MemberType = typeof(AttributeKit))]
    public void The_kernel_finds_and_changes_what_is_written_here(string format)
    {
        Require();
        using var image = new Ext4Image("16M", format.Split(' '));
        using (var session = new Session(image))
        {
            ulong file = session.MakeFile("/f");
            for (int i = 0; i < 12; i++)
            {
                // Names of several lengths, set in no order: the kernel searches a block by its order.
                string name = (i % 3) switch { 0 => "user.", 1 => "trusted.", _ => "security." } + new string('x', i * 7 % 5 + 1) + i;
                Assert.Equal(FileSystemError.None, session.SetAttribute(file, name, Encoding.ASCII.GetBytes($"value {i}")));
            }

            ulong directory = session.MakeDirectory("/d");
            session.SetAttribute(directory, Default, AttributeKit.AccessList("u::7", "u:5:7", "g::5", "m::7", "o::1"));
        }

        image.AssertClean();
        var script = new StringBuilder();
        for (int i = 0; i < 12; i++)
        {
            string name = (i % 3) switch { 0 => "user.", 1 => "trusted.", _ => "security." } + new string('x', i * 7 % 5 + 1) + i;
            script.Append(CultureInfo.InvariantCulture, $"[ \"$(getfattr --only-values -n {name} f)\" = 'value {i}' ]\n");
        }

        script.Append("""
            setfattr -n user.more -v kernel f; setfattr -x user.x0 f; umask 077; touch d/g
            getfacl -cn d/g | grep -q '^user:5:rwx'; [ $(stat -c %a d/g) = 660 ]
            """);
        image.WithKernel(script.ToString());
        image.AssertClean();
        using var again = new Session(image);
        Assert.Equal("kernel"u8.ToArray(), again.GetAttribute(again.Find("/f"), "user.more"));
        Assert.Null(again.GetAttribute(again.Find("/f"), "user.x0"));
    }

    [Theory]
    [InlineData("-b 1024 -I 256")]
    [InlineData("-b 4096 -I 128")]
    [InlineData("-b 4096 -I 256 -O ^metadata_csum")]
    public void A_block_that_many_files_share_is_left_to_the_others(string format)
    {
        Require();
        using var image = new Ext4Image("16M", format.Split(' '));
        image.WithKernel("""
            acl=u:1:r; for i in $(seq 2 25); do acl=$acl,u:$i:rw; done
            for i in 1 2 3 4 5 6; do touch f$i; setfacl -m $acl f$i; done
            """);
        string block = Block(image, "f1");
        Assert.Equal(block, Block(image, "f2"));
        byte[] shared;
        using (var session = new Session(image))
        {
            shared = session.GetAttribute(session.Find("/f1"), Access)!;
            // A change, a change of mode, a removal, a deletion, one that goes into the inode where it has room: five files.
            session.SetAttribute(session.Find("/f1"), "user.large", AttributeKit.Bytes(300));
            session.FileSystem.SetAttributes(
                session.Find("/f2"), new AttributeChange { Fields = AttributeFields.Mode, Mode = 0x180 }, out _);
            Assert.Equal(FileSystemError.None, session.RemoveAttribute(session.Find("/f3"), Access));
            Assert.Equal(FileSystemError.None, session.Unlink("/f4"));
            session.SetAttribute(session.Find("/f5"), "user.x", "y"u8);
            foreach (string other in new[] { "/f1", "/f5", "/f6" })
            {
                Assert.Equal(shared, session.GetAttribute(session.Find(other), Access));
            }

            Assert.Null(session.GetAttribute(session.Find("/f3"), Access));
            Assert.NotEqual(shared, session.GetAttribute(session.Find("/f2"), Access));
        }

        image.AssertClean();
        Assert.Equal(block, Block(image, "f6"));
        Assert.NotEqual(block, Block(image, "f1"));
        image.WithKernel("""
            for i in 1 5 6; do getfacl -cn f$i | grep -q '^user:25:rw-'; done
            getfacl -cn f2 | grep -q '^mask::---'; ! getfacl -cn f3 | grep -q user:25; setfacl -m u:99:r f6 f5
            """);
        image.AssertClean();
        using (var session = new Session(image))
        {
            foreach (string name in new[] { "/f1", "/f2", "/f3", "/f5", "/f6" })
            {
                Assert.Equal(FileSystemError.None, session.Unlink(name));
            }
        }

        image.AssertClean();
    }

    [Fact]
    public void Users_who_leave_a_shared_block_at_the_same_time_are_counted_right()
    {
        Require();
        const int Count = 40;
        using var image = new Ext4Image("16M", "-b", "1024", "-I", "128");
        image.WithKernel($"for i in $(seq {Count}); do touch f$i; setfattr -n user.v -v \"$(printf 'v%.0s' $(seq 500))\" f$i; done");
        Assert.Equal(Block(image, "f1"), Block(image, $"f{Count}"));
        using (var session = new Session(image, new Ext4Options { CommitIntervalMs = 1 }))
        {
            ulong[] files = [.. Enumerable.Range(1, Count).Select(i => session.Find($"/f{i}"))];
            Parallel.For(0, Count, new ParallelOptions { MaxDegreeOfParallelism = 8 }, i =>
            {
                byte[] value = [(byte)i, 1, 2];
                Assert.Equal(500, session.GetAttribute(files[i], "user.v")!.Length);
                Assert.Equal(FileSystemError.None, session.SetAttribute(files[i], "user.v", value));
                Assert.Equal(value, session.GetAttribute(files[i], "user.v"));
            });
        }

        image.AssertClean();
    }

    [Fact]
    public void A_block_written_here_is_shared_by_the_kernel_with_a_file_of_its_own()
    {
        Require();
        using var image = new Ext4Image("16M", "-b", "1024", "-I", "128");
        using (var session = new Session(image))
        {
            session.SetAttribute(session.MakeFile("/f"), "user.shared", "the same in both"u8);
        }

        // The kernel finds a block to share by its hash: reading ours puts it into the kernel's table.
        image.WithKernel("""
            getfattr -d f >/dev/null; touch g; setfattr -n user.shared -v 'the same in both' g
            """);
        image.AssertClean();
        Assert.Equal(Block(image, "f"), Block(image, "g"));
    }

    private static void Require()
    {
        ExternalTool.Require("setfacl");
        ExternalTool.Require("setfattr");
    }

    /// <summary>The block of attributes of a file, as debugfs names it.</summary>
    private static string Block(Ext4Image image, string name)
    {
        string stat = image.Debugfs($"stat {name}");
        int start = stat.IndexOf("File ACL: ", StringComparison.Ordinal);
        return stat[(start + 10)..].Split('\n')[0].Trim();
    }
}
