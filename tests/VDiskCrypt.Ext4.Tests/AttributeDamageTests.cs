using System.Buffers.Binary;
using System.Globalization;
using VDiskCrypt.Core;
using Xunit;

namespace VDiskCrypt.Ext4.Tests;

/// <summary>Attributes that contradict the format. Without checksums, so that the structure itself must be looked at.</summary>
public sealed class AttributeDamageTests
{
    private const string Format = "-b 1024 -I 256 -O ^metadata_csum,^has_journal";
    private const uint Magic = 0xEA020000;

    /// <summary>Byte offset from the magic number of a block with two values, and what is put there (32 bits).</summary>
    public static TheoryData<string, int, uint> BlockMutations => new()
    {
        { "no magic number", 0x0, 0 },
        { "no users", 0x4, 0 },
        { "more than one block", 0x8, 2 },
        { "a name beyond the block, and an index", 0x20, 0x3D8_01FF },
        { "a value before the end of the entries", 0x20, 0x0020_0105 },
        { "a value over another value", 0x34, 0 },
        { "a value in an inode", 0x24, 12 },
        { "a value larger than the block", 0x28, 0x7FFF_FFFF },
        { "a value of 4 GiB", 0x28, 0xFFFF_FFFF },
        { "a name with a zero byte", 0x30, 0 },
    };

    [Theory]
    [MemberData(nameof(BlockMutations))]
    public void Refuses_a_block_with(string what, int byteOffset, uint value)
    {
        Assert.NotEmpty(what);
        using Ext4Image image = MakeDamaged(500, span =>
        {
            // The second value is put where the first is.
            if (byteOffset == 0x34)
            {
                span.Slice(0x22, 2).CopyTo(span[(0x34 + 2)..]);
            }
            else
            {
                BinaryPrimitives.WriteUInt32LittleEndian(span[byteOffset..], value);
            }
        });
        AssertDamagedOnly(image);
    }

    [Theory]
    [InlineData(0x4, 0xFFFFFFFF)]
    [InlineData(0x8, 0x10)]
    [InlineData(0xC, 0x80000000)]
    [InlineData(0xC, 0x60)]
    public void Refuses_attributes_in_an_inode_with_a_field_that_leads_outside(int byteOffset, uint value)
    {
        using Ext4Image image = MakeDamaged(
            4, span => BinaryPrimitives.WriteUInt32LittleEndian(span[byteOffset..], value));
        AssertDamagedOnly(image);
    }

    [Fact]
    public void Refuses_a_block_whose_checksum_does_not_match()
    {
        using Ext4Image image = MakeDamaged(500, span => span[^1] ^= 1, "-b 1024 -I 256 -O ^has_journal");
        AssertDamagedOnly(image);
    }

    [Fact]
    public void Random_bytes_in_place_of_attributes_are_read_or_refused_and_nothing_else()
    {
        var random = new Random(5);
        for (int round = 0; round < 40; round++)
        {
            using Ext4Image image = MakeDamaged(round % 2 == 0 ? 500 : 4, span =>
            {
                int length = Math.Min(span.Length, round % 2 == 0 ? 1024 : 96);
                for (int i = 0; i < 4; i++)
                {
                    span[4 + random.Next(length - 4)] = (byte)random.Next(256);
                }
            });
            using var session = new Session(image);
            ulong file = session.Find("/f");
            try
            {
                var names = new byte[4096];
                session.FileSystem.ListExtendedAttributes(file, names, out _);
                session.FileSystem.GetExtendedAttribute(file, "user.b"u8, names, out _);
                session.SetAttribute(file, "user.c", "x"u8);
            }
            catch (VDiskException exception)
            {
                Assert.Equal(FailureKind.Damaged, exception.Kind);
            }
        }
    }

    /// <summary>A file with user.a and user.b, in a block or in the inode, whose bytes are changed from the magic number on.</summary>
    private static Ext4Image MakeDamaged(int valueSize, DamageAction damage, string format = Format)
    {
        var image = new Ext4Image("4M", format.Split(' '));
        using (var session = new Session(image))
        {
            ulong file = session.MakeFile("/f", [1, 2, 3]);
            int second = valueSize > 100 ? 100 : valueSize;
            Assert.Equal(FileSystemError.None, session.SetAttribute(file, "user.a", AttributeKit.Bytes(valueSize)));
            Assert.Equal(FileSystemError.None, session.SetAttribute(file, "user.b", AttributeKit.Bytes(second)));
        }

        image.AssertClean();
        byte[] bytes = File.ReadAllBytes(image.FullPath);
        damage(bytes.AsSpan(FindMagic(bytes))[..(valueSize > 100 ? 1024 : 96)]);
        File.WriteAllBytes(image.FullPath, bytes);
        return image;
    }

    private static int FindMagic(byte[] bytes)
    {
        for (int offset = 0; offset < bytes.Length; offset += 4)
        {
            if (BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(offset)) == Magic)
            {
                return offset;
            }
        }

        throw new InvalidOperationException("the image has no attributes: " + bytes.Length.ToString(CultureInfo.InvariantCulture));
    }

    /// <summary>The attributes are refused as damaged; the file is still read, written and removed.</summary>
    private static void AssertDamagedOnly(Ext4Image image)
    {
        using var session = new Session(image);
        ulong file = session.Find("/f");
        foreach (Action call in new Action[]
        {
            () => session.GetAttribute(file, "user.zzz"),
            () => session.ListAttributes(file),
            () => session.SetAttribute(file, "user.c", "x"u8),
            () => session.RemoveAttribute(file, "user.a"),
        })
        {
            Assert.Equal(FailureKind.Damaged, Assert.Throws<VDiskException>(call).Kind);
        }

        Assert.Equal([1, 2, 3], session.ReadAll("/f"));
        session.Write(file, 1, [9]);
        Assert.Equal([1, 9, 3], session.ReadAll("/f"));
        session.FileSystem.Forget(file, 100);
        Assert.Equal(FileSystemError.None, session.Unlink("/f"));
        Assert.False(session.FileSystem.IsReadOnly);
    }

    private delegate void DamageAction(Span<byte> bytes);
}
