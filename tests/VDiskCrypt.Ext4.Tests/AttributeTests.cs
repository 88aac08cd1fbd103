using VDiskCrypt.Core;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Ext4.Tests;

/// <summary>Extended attributes, judged by debugfs and e2fsck.</summary>
public sealed class AttributeTests
{
    [Theory]
    [MemberData(nameof(AttributeKit.Formats), MemberType = typeof(AttributeKit))]
    public void Attributes_are_set_read_listed_replaced_and_removed(string format)
    {
        using var image = new Ext4Image("16M", format.Split(' '));
        using (var session = new Session(image))
        {
            ulong file = session.MakeFile("/f");
            Assert.Empty(session.ListAttributes(file));
            Assert.Equal(FileSystemError.None, session.SetAttribute(file, "user.one", "1"u8));
            Assert.Equal(FileSystemError.None, session.SetAttribute(file, "user.empty", default));
            Assert.Equal(FileSystemError.None, session.SetAttribute(file, "trusted.t", AttributeKit.Bytes(33)));
            Assert.Equal(FileSystemError.None, session.SetAttribute(file, "security.s", AttributeKit.Bytes(300)));
            Assert.Equal(FileSystemError.None, session.SetAttribute(file, "user.gone", "x"u8));
            Assert.Equal(FileSystemError.AlreadyExists, session.SetAttribute(file, "user.one", "2"u8, SetAttributeMode.Create));
            Assert.Equal(FileSystemError.NoAttribute, session.SetAttribute(file, "user.none", "2"u8, SetAttributeMode.Replace));
            Assert.Equal(FileSystemError.None, session.SetAttribute(file, "user.one", "other"u8, SetAttributeMode.Replace));
            Assert.Equal(FileSystemError.None, session.RemoveAttribute(file, "user.gone"));
            Assert.Equal(FileSystemError.NoAttribute, session.RemoveAttribute(file, "user.gone"));
            Check(session);
        }

        image.AssertClean();
        using (var again = new Session(image, new Ext4Options { ReadOnly = true }))
        {
            Check(again);
        }

        Assert.Contains("user.one (5) = \"other\"", image.Debugfs("ea_list /f"));
        Assert.Contains("user.empty (0)", image.Debugfs("ea_list /f"));
    }

    [Fact]
    public void Sizes_are_told_and_buffers_that_are_too_small_are_refused()
    {
        using var image = new Ext4Image("16M");
        using var session = new Session(image);
        ulong file = session.MakeFile("/f");
        session.SetAttribute(file, "user.a", AttributeKit.Bytes(10));
        Ext4FileSystem fs = session.FileSystem;
        Assert.Equal(FileSystemError.RangeTooSmall, fs.GetExtendedAttribute(file, "user.a"u8, new byte[9], out _));
        Assert.Equal(FileSystemError.None, fs.GetExtendedAttribute(file, "user.a"u8, new byte[11], out int size));
        Assert.Equal(10, size);
        Assert.Equal(FileSystemError.RangeTooSmall, fs.ListExtendedAttributes(file, new byte[6], out _));
        Assert.Equal(FileSystemError.None, fs.ListExtendedAttributes(file, new byte[7], out size));
        Assert.Equal(7, size);
    }

    [Theory]
    [InlineData("user.", FileSystemError.InvalidArgument)]
    [InlineData("", FileSystemError.RangeTooSmall)]
    [InlineData("nowhere.x", FileSystemError.NotSupported)]
    [InlineData("system.data", FileSystemError.NotSupported)]
    [InlineData("system.other", FileSystemError.NotSupported)]
    [InlineData("user.a\0b", FileSystemError.InvalidArgument)]
    public void Names_that_mean_nothing_are_refused(string name, FileSystemError expected)
    {
        using var image = new Ext4Image("16M");
        using var session = new Session(image);
        ulong file = session.MakeFile("/f");
        Assert.Equal(expected, session.SetAttribute(file, name, "x"u8));
        Assert.Equal(FileSystemError.RangeTooSmall, session.SetAttribute(file, "user." + new string('n', 251), "x"u8));
        Assert.Equal(FileSystemError.None, session.SetAttribute(file, "user." + new string('n', 250), "x"u8));
    }

    [Fact]
    public void User_attributes_belong_to_files_and_directories_only()
    {
        using var image = new Ext4Image("16M", "-b", "1024");
        using (var session = new Session(image))
        {
            ulong fifo = session.Make("/fifo", UnixMode.Fifo | 0x1A4);
            Assert.Equal(FileSystemError.NotPermitted, session.SetAttribute(fifo, "user.x", "x"u8));
            Assert.Equal(FileSystemError.NotPermitted, session.RemoveAttribute(fifo, "user.x"));
            Assert.Null(session.GetAttribute(fifo, "user.x"));
            Assert.Equal(FileSystemError.None, session.SetAttribute(fifo, "trusted.x", AttributeKit.Bytes(500)));
            Assert.Equal(FileSystemError.None, session.SetAttribute(session.MakeDirectory("/d"), "user.x", "x"u8));
        }

        image.AssertClean();
    }

    [Theory]
    [InlineData("-b 1024")]
    [InlineData("-b 4096")]
    public void The_largest_value_that_a_block_holds_is_kept_and_a_larger_one_changes_nothing(string format)
    {
        using var image = new Ext4Image("16M", format.Split(' '));
        using (var session = new Session(image))
        {
            ulong file = session.MakeFile("/f");
            int room = (int)session.Attributes(file).BlockByteSize - 32 - 4 - (16 + 4);
            byte[] largest = AttributeKit.Bytes(room);
            Assert.Equal(FileSystemError.None, session.SetAttribute(file, "user.v", largest));
            Assert.Equal(FileSystemError.NoSpace, session.SetAttribute(file, "user.v", AttributeKit.Bytes(room + 1)));
            Assert.Equal(FileSystemError.NoSpace, session.SetAttribute(file, "user.w", AttributeKit.Bytes(100)));
            Assert.Equal(largest, session.GetAttribute(file, "user.v"));
            Assert.Equal(["user.v"], session.ListAttributes(file));
        }

        image.AssertClean();
    }

    [Fact]
    public void Attributes_in_the_inode_give_way_when_only_then_everything_fits()
    {
        using var image = new Ext4Image("16M", "-b", "1024", "-I", "256");
        using (var session = new Session(image))
        {
            ulong file = session.MakeFile("/f");
            // The inode has room for 92 bytes, the block for 992.
            Assert.Equal(FileSystemError.None, session.SetAttribute(file, "user.a", AttributeKit.Bytes(60)));
            Assert.Equal(FileSystemError.None, session.SetAttribute(file, "user.b", AttributeKit.Bytes(800)));
            Assert.Equal(FileSystemError.None, session.SetAttribute(file, "user.c", AttributeKit.Bytes(60)));
            Assert.Equal(FileSystemError.None, session.RemoveAttribute(file, "user.a"));
            Assert.Equal(FileSystemError.None, session.SetAttribute(file, "user.d", AttributeKit.Bytes(20)));
            Assert.Equal(FileSystemError.None, session.SetAttribute(file, "user.e", AttributeKit.Bytes(80)));
            Assert.Equal(AttributeKit.Bytes(800), session.GetAttribute(file, "user.b"));
            Assert.Equal(["user.b", "user.c", "user.d", "user.e"], session.ListAttributes(file));
        }

        image.AssertClean();
    }

    [Fact]
    public void The_block_of_attributes_counts_as_the_files_and_goes_with_the_last_attribute_or_the_file()
    {
        using var image = new Ext4Image("16M", "-b", "1024");
        ulong free;
        using (var session = new Session(image))
        {
            ulong file = session.MakeFile("/f");
            ulong link = MakeLink(session, "/l");
            session.FileSystem.SyncAll();
            free = session.FileSystem.GetStatistics().FreeBlockCount;
            session.SetAttribute(file, "user.big", AttributeKit.Bytes(500));
            Assert.Equal(2, session.Attributes(file).Blocks512);
            Assert.Equal(free - 1, session.FileSystem.GetStatistics().FreeBlockCount);
            session.RemoveAttribute(file, "user.big");
            Assert.Equal(0, session.Attributes(file).Blocks512);
            session.SetAttribute(file, "user.big", AttributeKit.Bytes(500));
            session.SetAttribute(link, "trusted.big", AttributeKit.Bytes(500));
            var target = new byte[10];
            Assert.Equal(FileSystemError.None, session.FileSystem.ReadLink(link, target, out int length));
            Assert.Equal("target"u8, target.AsSpan(0, length));
            session.FileSystem.Forget(file, 1);
            session.FileSystem.Forget(link, 1);
            Assert.Equal(FileSystemError.None, session.Unlink("/f"));
            Assert.Equal(FileSystemError.None, session.Unlink("/l"));
        }

        image.AssertClean();
        using var again = new Session(image, new Ext4Options { ReadOnly = true });
        Assert.Equal(free, again.FileSystem.GetStatistics().FreeBlockCount);
    }

    [Theory]
    [MemberData(nameof(AttributeKit.Formats), MemberType = typeof(AttributeKit))]
    public void Attributes_that_debugfs_sets_are_read_and_changed(string format)
    {
        using var image = new Ext4Image("16M", format.Split(' '));
        File.WriteAllBytes(image.Folder["value"], AttributeKit.Bytes(400, 7));
        string script = $"""
            write /dev/null f
            ea_set f user.small tiny
            ea_set -f {image.Folder["value"]} f user.large
            ea_set f trusted.t there
            ea_set f system.odd one
            """;
        File.WriteAllText(image.Folder["script"], script);
        ExternalTool.Run("debugfs", "-w", "-f", image.Folder["script"], image.FullPath).Succeeded();
        using (var session = new Session(image))
        {
            ulong file = session.Find("/f");
            Assert.Equal("tiny"u8.ToArray(), session.GetAttribute(file, "user.small"));
            Assert.Equal(AttributeKit.Bytes(400, 7), session.GetAttribute(file, "user.large"));
            Assert.Equal(["system.odd", "trusted.t", "user.large", "user.small"], session.ListAttributes(file));
            session.SetAttribute(file, "user.small", "changed"u8);
            session.SetAttribute(file, "user.näme", "beyond ASCII"u8);
        }

        image.AssertClean();
        Assert.Contains("= \"changed\"", image.Debugfs("ea_get f user.small") + image.Debugfs("ea_list f"));
        ExternalTool.Run("debugfs", "-R", $"ea_get -f {image.Folder["back"]} f user.large", image.FullPath).Succeeded();
        Assert.Equal(AttributeKit.Bytes(400, 7), File.ReadAllBytes(image.Folder["back"]));
    }

    [Fact]
    public void Changing_contents_or_owner_takes_the_capabilities_away()
    {
        using var image = new Ext4Image("16M");
        using (var session = new Session(image))
        {
            ulong file = session.MakeFile("/f", AttributeKit.Bytes(100));
            Action[] changes =
            [
                () => session.Write(file, 0, [1]),
                () => session.Truncate(file, 50),
                () => Change(session, file, AttributeFields.KillPrivileges),
                () => Change(session, file, AttributeFields.UserId),
            ];
            foreach (Action change in changes)
            {
                Assert.Equal(FileSystemError.None, session.SetAttribute(file, "security.capability", AttributeKit.Bytes(20)));
                Change(session, file, AttributeFields.AccessTime);
                Assert.NotNull(session.GetAttribute(file, "security.capability"));
                change();
                Assert.Null(session.GetAttribute(file, "security.capability"));
            }
        }

        image.AssertClean();
    }

    [Theory]
    [InlineData("-b 4096 -I 1024")]
    [InlineData("-b 1024 -I 128")]
    public void Reading_attributes_allocates_nothing(string format)
    {
        using var image = new Ext4Image("16M", format.Split(' '));
        using var session = new Session(image);
        ulong file = session.MakeFile("/f");
        session.SetAttribute(file, "user.a", "value"u8);
        session.SetAttribute(
            file, "system.posix_acl_access", AttributeKit.AccessList("u::6", "u:1:7", "g::4", "m::7", "o::0"));
        Ext4FileSystem fs = session.FileSystem;
        var value = new byte[256];
        ReadAll(1);
        long before = GC.GetAllocatedBytesForCurrentThread();
        ReadAll(200);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);

        void ReadAll(int times)
        {
            for (int i = 0; i < times; i++)
            {
                fs.GetExtendedAttribute(file, "user.a"u8, value, out _);
                fs.GetExtendedAttribute(file, "system.posix_acl_access"u8, value, out _);
                fs.GetExtendedAttribute(file, "security.capability"u8, [], out _);
                fs.ListExtendedAttributes(file, value, out _);
            }
        }
    }

    private static void Change(Session session, ulong inode, AttributeFields fields) =>
        Assert.Equal(FileSystemError.None, session.FileSystem.SetAttributes(inode, new AttributeChange { Fields = fields }, out _));

    private static ulong MakeLink(Session session, string path)
    {
        (ulong parent, byte[] name) = session.Split(path);
        Assert.Equal(
            FileSystemError.None,
            session.FileSystem.CreateSymbolicLink(parent, name, "target"u8, default, out InodeAttributes made));
        return made.Inode;
    }

    private static void Check(Session session)
    {
        ulong file = session.Find("/f");
        Assert.Equal(["security.s", "trusted.t", "user.empty", "user.one"], session.ListAttributes(file));
        Assert.Equal("other"u8.ToArray(), session.GetAttribute(file, "user.one"));
        Assert.Equal(Array.Empty<byte>(), session.GetAttribute(file, "user.empty"));
        Assert.Equal(AttributeKit.Bytes(33), session.GetAttribute(file, "trusted.t"));
        Assert.Equal(AttributeKit.Bytes(300), session.GetAttribute(file, "security.s"));
        Assert.Null(session.GetAttribute(file, "user.gone"));
    }
}
