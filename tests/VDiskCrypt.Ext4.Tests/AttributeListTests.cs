using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Attributes;
using Xunit;

namespace VDiskCrypt.Ext4.Tests;

/// <summary>POSIX access control lists.</summary>
public sealed class AttributeListTests
{
    private const string Access = "system.posix_acl_access";
    private const string Default = "system.posix_acl_default";

    public static TheoryData<string> InvalidLists =>
    [
        "u::6 g::4", "u::6 o::4", "g::6 u::4 o::4", "u::6 u:5:6 g::4 o::4", "u::6 g::4 g:5:4 o::0", "u::6 g::4 o::0 o::0",
        "u::6 g::4 m::4 m::4 o::0", "u::8 g::4 o::0", "u::6 g:5:4 g::4 m::4 o::0", "u::6 u:4294967295:4 g::4 m::4 o::0",
        "u::6 u::6 g::4 o::0",
    ];

    [Fact]
    public void A_list_sets_the_mode_and_comes_back_as_it_was_given()
    {
        using var image = new Ext4Image("16M", "-b", "1024");
        byte[] list = AttributeKit.AccessList("u::6", "u:1:7", "u:70000:4", "g::4", "g:9:5", "m::5", "o::1");
        using (var session = new Session(image))
        {
            ulong file = session.MakeFile("/f", mode: 0xFFF);
            Assert.Equal(FileSystemError.None, session.SetAttribute(file, Access, list));
            Assert.Equal(UnixMode.Regular | 0xE00 | 0x1A9, session.Attributes(file).Mode);
            Assert.Equal(list, session.GetAttribute(file, Access));
            Assert.Equal([Access], session.ListAttributes(file));
        }

        image.AssertClean();
        using var again = new Session(image, new Ext4Options { ReadOnly = true });
        Assert.Equal(list, again.GetAttribute(again.Find("/f"), Access));
        Assert.Equal(UnixMode.Regular | 0xE00 | 0x1A9, again.Attributes(again.Find("/f")).Mode);
    }

    [Fact]
    public void A_list_that_says_what_a_mode_can_say_becomes_the_mode()
    {
        using var image = new Ext4Image("16M");
        using var session = new Session(image);
        ulong file = session.MakeFile("/f");
        session.SetAttribute(file, Access, AttributeKit.AccessList("u::6", "u:1:7", "g::4", "m::7", "o::0"));
        Assert.Equal(FileSystemError.None, session.SetAttribute(file, Access, AttributeKit.AccessList("u::7", "g::5", "o::4")));
        Assert.Equal(UnixMode.Regular | 0x1ECu, session.Attributes(file).Mode);
        Assert.Null(session.GetAttribute(file, Access));
        Assert.Equal(FileSystemError.None, session.RemoveAttribute(file, Access));
        Assert.Equal(UnixMode.Regular | 0x1ECu, session.Attributes(file).Mode);
    }

    [Theory]
    [MemberData(nameof(InvalidLists))]
    public void Lists_that_are_none_are_refused_and_change_nothing(string list)
    {
        using var image = new Ext4Image("16M");
        using var session = new Session(image);
        ulong directory = session.MakeDirectory("/d");
        byte[] bytes = AttributeKit.AccessList(list.Split(' '));
        foreach (string name in new[] { Access, Default })
        {
            Assert.Equal(FileSystemError.InvalidArgument, session.SetAttribute(directory, name, bytes));
            Assert.Equal(FileSystemError.InvalidArgument, session.SetAttribute(directory, name, bytes.AsSpan(0, bytes.Length - 1)));
            Assert.Equal(FileSystemError.InvalidArgument, session.SetAttribute(directory, name, "abc"u8));
        }

        Assert.Empty(session.ListAttributes(directory));
        Assert.Equal(UnixMode.Directory | 0x1EDu, session.Attributes(directory).Mode);
    }

    [Fact]
    public void Default_lists_belong_to_directories_and_no_list_to_links()
    {
        using var image = new Ext4Image("16M");
        using var session = new Session(image);
        byte[] list = AttributeKit.AccessList("u::6", "g::4", "o::0");
        Assert.Equal(FileSystemError.AccessDenied, session.SetAttribute(session.MakeFile("/f"), Default, list));
        ulong root = session.FileSystem.RootInode;
        session.FileSystem.CreateSymbolicLink(root, "l"u8, "f"u8, default, out InodeAttributes link);
        Assert.Equal(FileSystemError.NotSupported, session.SetAttribute(link.Inode, Access, list));
    }

    [Fact]
    public void Changing_the_mode_changes_owner_mask_and_others()
    {
        using var image = new Ext4Image("16M");
        using (var session = new Session(image))
        {
            ulong file = session.MakeFile("/f");
            session.SetAttribute(file, Access, AttributeKit.AccessList("u::6", "u:1:7", "g::4", "m::7", "o::0"));
            ChangeMode(session, file, 0x1D1);
            Assert.Equal(AttributeKit.AccessList("u::7", "u:1:7", "g::4", "m::2", "o::1"), session.GetAttribute(file, Access));
            Assert.Equal(UnixMode.Regular | 0x1D1u, session.Attributes(file).Mode);
        }

        image.AssertClean();
    }

    [Theory]
    [MemberData(nameof(AttributeKit.Formats), MemberType = typeof(AttributeKit))]
    public void A_default_list_is_handed_down_in_the_umasks_place(string format)
    {
        using var image = new Ext4Image("16M", format.Split(' '));
        using (var session = new Session(image))
        {
            ulong parent = session.MakeDirectory("/d");
            byte[] list = AttributeKit.AccessList("u::7", "u:5:7", "g::5", "m::7", "o::1");
            Assert.Equal(FileSystemError.None, session.SetAttribute(parent, Default, list));
            ulong file = Make(session, "/d/f", UnixMode.Regular | 0x1B6, umask: 0x3F);
            Assert.Equal(UnixMode.Regular | 0x1B0u, session.Attributes(file).Mode);
            Assert.Equal(AttributeKit.AccessList("u::6", "u:5:7", "g::5", "m::6", "o::0"), session.GetAttribute(file, Access));
            Assert.Null(session.GetAttribute(file, Default));

            ulong directory = Make(session, "/d/e", UnixMode.Directory | 0x1FF, umask: 0x3F);
            Assert.Equal(UnixMode.Directory | 0x1F9u, session.Attributes(directory).Mode);
            Assert.Equal(list, session.GetAttribute(directory, Default));
            Assert.Equal(list, session.GetAttribute(directory, Access));

            session.SetAttribute(parent, Default, AttributeKit.AccessList("u::7", "g::4", "o::4"));
            ulong plain = Make(session, "/d/plain", UnixMode.Regular | 0x1B6, umask: 0x3F);
            Assert.Equal(UnixMode.Regular | 0x1A4u, session.Attributes(plain).Mode);
            Assert.Empty(session.ListAttributes(plain));

            Assert.Equal(FileSystemError.None, session.SetAttribute(parent, Default, AttributeKit.AccessList()));
            ulong masked = Make(session, "/d/masked", UnixMode.Regular | 0x1B6, umask: 0x3F);
            Assert.Equal(UnixMode.Regular | 0x180u, session.Attributes(masked).Mode);
        }

        image.AssertClean();
    }

    [Fact]
    public void The_form_on_disk_has_ids_only_where_they_are_needed()
    {
        // From Documentation/filesystems/ext4/attributes.rst: e_tag, e_perm, and e_id for users and groups.
        byte[] disk =
        [
            1, 0, 0, 0, 1, 0, 6, 0, 2, 0, 7, 0, 0x39, 0x30, 0, 0, 4, 0, 4, 0, 0x10, 0, 7, 0, 0x20, 0, 0, 0,
        ];
        byte[] list = AttributeKit.AccessList("u::6", "u:12345:7", "g::4", "m::7", "o::0");
        Assert.Equal(disk, AccessControlForm.WriteDisk(AccessControlForm.ReadInterface(list)));
        var back = new byte[AccessControlForm.MeasureDisk(disk)];
        AccessControlForm.DiskToInterface(disk, back);
        Assert.Equal(list, back);
        for (int length = 0; length < disk.Length; length++)
        {
            Assert.True(length is 4 or 8 or 16 or 20 or 24 || AccessControlForm.MeasureDisk(disk.AsSpan(0, length)) < 0);
        }
    }

    private static void ChangeMode(Session session, ulong inode, uint mode)
    {
        var change = new AttributeChange { Fields = AttributeFields.Mode, Mode = mode };
        Assert.Equal(FileSystemError.None, session.FileSystem.SetAttributes(inode, change, out _));
    }

    private static ulong Make(Session session, string path, uint mode, uint umask)
    {
        (ulong parent, byte[] name) = session.Split(path);
        var node = new NewInode { Mode = mode, Umask = umask };
        Assert.Equal(FileSystemError.None, session.FileSystem.Create(parent, name, node, out InodeAttributes made));
        return made.Inode;
    }
}
