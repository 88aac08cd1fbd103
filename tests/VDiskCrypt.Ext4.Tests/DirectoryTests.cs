using System.Text;
using CsCheck;
using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Directories;
using VDiskCrypt.Ext4.OnDisk;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Ext4.Tests;

public sealed class DirectoryTests
{
    private static readonly Gen<string> Name = Gen.Char['a', 'z'].Array[1, 60].Select(letters => new string(letters));

    [Theory]
    [InlineData(1024, true)]
    [InlineData(1024, false)]
    [InlineData(4096, true)]
    [InlineData(65536, true)]
    [InlineData(65536, false)]
    public void Follows_a_dictionary_through_random_changes(int blockByteSize, bool checksums)
    {
        Gen.Select(Name, Gen.Int[0, 3]).Array[1, blockByteSize > 4096 ? 1500 : 400].Sample(
            steps =>
            {
                DirectoryInMemory directory = DirectoryInMemory.CreateEmpty(DirectoryInMemory.CreateFormat(blockByteSize, checksums));
                var model = new Dictionary<string, uint>();
                uint next = 20;
                foreach ((string name, int action) in steps)
                {
                    Step(directory, model, name, action, next++);
                }

                directory.AssertSound();
                foreach ((string name, uint inode) in model)
                {
                    Assert.Equal(inode, directory.Lookup(name));
                }

                Assert.Equal(
                    model.Append(new(".", 12)).Append(new("..", 2)).Select(pair => (pair.Key, pair.Value)).Order(),
                    directory.List(7).Order());
                foreach (string name in model.Keys)
                {
                    Assert.False(DirectoryOperations.IsEmpty(directory));
                    Assert.True(DirectoryOperations.Remove(directory, Encoding.UTF8.GetBytes(name)));
                }

                Assert.True(DirectoryOperations.IsEmpty(directory));
            },
            iter: 12, threads: 1);
    }

    [Fact]
    public void A_name_that_stays_is_listed_once_while_others_come_and_go()
    {
        DirectoryInMemory directory = DirectoryInMemory.CreateEmpty(DirectoryInMemory.CreateFormat(1024));
        for (uint i = 0; i < 2000; i++)
        {
            Assert.Equal(FileSystemError.None, directory.InsertFast(Encoding.UTF8.GetBytes($"stays-{i}"), 20 + i));
        }

        uint serial = 0;
        List<(string Name, uint Inode)> listed = directory.List(5, _ =>
        {
            for (int i = 0; i < 5; i++)
            {
                directory.InsertFast(Encoding.UTF8.GetBytes($"new-{serial++}"), 9000);
            }
        });
        Assert.Equal(2000, listed.Count(entry => entry.Name.StartsWith("stays")));
        Assert.Equal(listed.Count, listed.Select(entry => entry.Name).Distinct().Count());

        var removed = new HashSet<string>();
        listed = directory.List(3, call =>
        {
            Assert.True(DirectoryOperations.Remove(directory, Encoding.UTF8.GetBytes($"stays-{call}")));
            removed.Add($"stays-{call}");
        });
        Assert.Equal(2000, listed.Where(entry => entry.Name.StartsWith("stays")).Select(entry => entry.Name).Union(removed).Count());
    }

    [Fact]
    public void A_listing_by_offset_goes_on_behind_removed_names()
    {
        DirectoryFormat format = CreateLinearFormat();
        DirectoryInMemory directory = DirectoryInMemory.CreateEmpty(format);
        for (uint i = 0; i < 500; i++)
        {
            Assert.Equal(FileSystemError.None, directory.InsertFast(Encoding.UTF8.GetBytes($"name-{i}"), 20 + i));
        }

        Assert.False(directory.IsIndexed);
        Assert.Equal(502, directory.List(3).Distinct().Count());
        int listedBefore = 0;
        List<(string Name, uint Inode)> listed = directory.List(4, call =>
        {
            for (; listedBefore < Math.Min(call * 4, 500); listedBefore++)
            {
                DirectoryOperations.Remove(directory, Encoding.UTF8.GetBytes($"name-{listedBefore}"));
            }
        });
        Assert.Equal(502, listed.Distinct().Count());
        Assert.Equal(502, listed.Count);
    }

    [Fact]
    public void A_full_index_is_no_space_and_stays_sound()
    {
        DirectoryInMemory directory = DirectoryInMemory.CreateEmpty(DirectoryInMemory.CreateFormat(1024));
        directory.BlockLimit = 40;
        uint i = 0;
        while (directory.InsertFast(Encoding.UTF8.GetBytes($"{i:D250}"), 20 + i) == FileSystemError.None)
        {
            i++;
        }

        directory.AssertSound();
        Assert.Equal((int)i + 2, directory.List(10).Count);
        Assert.True(DirectoryOperations.Remove(directory, Encoding.UTF8.GetBytes($"{i - 1:D250}")));
        Assert.Equal(FileSystemError.None, directory.Insert($"{i - 1:D250}", 7));
    }

    [Theory]
    [InlineData(false, 1)]
    [InlineData(true, 2)]
    public void The_index_grows_as_deep_as_the_feature_allows(bool largeDirectory, int depth)
    {
        DirectoryInMemory directory =
            DirectoryInMemory.CreateEmpty(DirectoryInMemory.CreateFormat(1024, true, largeDirectory, inodeCount: uint.MaxValue));
        uint count = 0;
        int mostChanged = 0;
        while (count < 60_000)
        {
            if (directory.InsertFast(Encoding.UTF8.GetBytes($"{count:D250}"), 20 + count) != FileSystemError.None)
            {
                break;
            }

            mostChanged = Math.Max(mostChanged, directory.ModifiedCount);
            count++;
        }

        Assert.Equal(depth, new IndexNode(directory.Blocks[0], isRoot: true).Depth);
        Assert.Equal(largeDirectory, count == 60_000);
        Assert.InRange(count, 15_000u, 60_000u);
        Assert.InRange(mostChanged, 3, DirectoryOperations.MaximumChangedBlockCount);
        directory.AssertSound();
        for (uint i = 0; i < count; i += 17)
        {
            Assert.Equal(20 + i, directory.Lookup($"{i:D250}"));
        }

        Assert.Null(directory.Lookup("absent"));
        Assert.Equal((int)count + 2, directory.List(1000).Distinct().Count());
    }

    [Fact]
    public void Names_of_one_hash_are_found_and_listed_across_blocks()
    {
        DirectoryFormat format = DirectoryInMemory.CreateFormat(1024, hash: 0);
        DirectoryInMemory directory = DirectoryInMemory.CreateEmpty(format);
        List<string> names = CreateLegacyCollisions();
        for (int i = 0; i < names.Count; i++)
        {
            Assert.Equal(FileSystemError.None, directory.Insert(names[i], (uint)(20 + i)));
            Assert.Equal(FileSystemError.None, directory.Insert($"other{i}", (uint)(2000 + i)));
        }

        directory.AssertSound();
        for (int i = 0; i < names.Count; i++)
        {
            Assert.Equal((uint)(20 + i), directory.Lookup(names[i]));
        }

        Assert.Equal(122, directory.List(3).Distinct().Count());
        Assert.Equal(122, directory.List(3).Count);
    }

    [Fact]
    public void Replace_and_parent_keep_checksums()
    {
        DirectoryInMemory directory = DirectoryInMemory.CreateEmpty(DirectoryInMemory.CreateFormat(1024));
        for (uint i = 0; i < 200; i++)
        {
            directory.InsertFast(Encoding.UTF8.GetBytes($"n{i}"), 20 + i);
        }

        Assert.True(directory.IsIndexed);
        Assert.True(DirectoryOperations.Replace(directory, ".."u8, 77, DirectoryEntryOnDisk.TypeDirectory));
        Assert.True(DirectoryOperations.Replace(directory, "n7"u8, 78, DirectoryEntryOnDisk.TypeFifo));
        Assert.False(DirectoryOperations.Replace(directory, "absent"u8, 78, DirectoryEntryOnDisk.TypeFifo));
        directory.AssertSound();
        Assert.Equal(77u, directory.Lookup(".."));
        Assert.Equal(12u, directory.Lookup("."));
        Assert.True(DirectoryOperations.Lookup(directory, "n7"u8, out uint inode, out byte type));
        Assert.Equal((78u, DirectoryEntryOnDisk.TypeFifo), (inode, type));
    }

    [Fact]
    public void A_lookup_allocates_nothing()
    {
        DirectoryInMemory directory = DirectoryInMemory.CreateEmpty(DirectoryInMemory.CreateFormat(4096));
        for (uint i = 0; i < 3000; i++)
        {
            directory.InsertFast(Encoding.UTF8.GetBytes($"name{i}"), 20 + i);
        }

        var unpinned = new UnpinnedDirectory(directory);
        bool found = DirectoryOperations.Lookup(unpinned, "name2000"u8, out _, out _);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
        {
            found &= DirectoryOperations.Lookup(unpinned, "name2000"u8, out _, out _);
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.True(found);
    }

    [Fact]
    public void Hashes_match_debugfs()
    {
        ExternalTool.Require("debugfs");
        string[] names = ["a", "lost+found", "name-with-more-than-thirty-two-bytes-in-it.txt", new string('x', 255), "ünïcödé-\u00ff"];
        Guid seed = Guid.Parse("0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0");
        foreach ((string option, byte version) in new[] { ("legacy", (byte)0), ("half_md4", (byte)1), ("tea", (byte)2) })
        {
            foreach (string name in names)
            {
                DirectoryFormat format = DirectoryInMemory.CreateFormat(4096, seed: seed.ToByteArray(bigEndian: true));
                DirectoryHash hash = format.Hash((DirectoryHashKind)version, Encoding.UTF8.GetBytes(name));
                string output = ExternalTool.Run("debugfs", "-R", $"dx_hash -h {option} -s {seed} {name}").Succeeded().Output;
                Assert.Contains($" is 0x{hash.Major:x} (minor 0x{hash.Minor:x})", output.ToLowerInvariant());
            }
        }
    }

    private static void Step(DirectoryInMemory directory, Dictionary<string, uint> model, string name, int action, uint inode)
    {
        if (action == 0 && model.Count > 0)
        {
            string victim = model.Keys.ElementAt((int)(inode % model.Count));
            Assert.True(DirectoryOperations.Remove(directory, Encoding.UTF8.GetBytes(victim)));
            Assert.False(DirectoryOperations.Remove(directory, Encoding.UTF8.GetBytes(victim)));
            model.Remove(victim);
        }
        else if (!model.ContainsKey(name))
        {
            Assert.Null(directory.Lookup(name));
            Assert.Equal(FileSystemError.None, directory.Insert(name, inode));
            model.Add(name, inode);
        }
    }

    private static DirectoryFormat CreateLinearFormat()
    {
        var superblock = new SuperblockOnDisk(new byte[1024])
        {
            InodeCount = 1000, Incompatible = IncompatibleFeatures.FileType,
        };
        return new DirectoryFormat(superblock);
    }

    /// <summary>
    /// Endings of names of one legacy hash, behind 190 letters p. Found by search: the last step of the hash is
    /// h = before + (last ^ letter * 7152373), so that the last letter follows from the wanted hash, where there is one.
    /// </summary>
    private const string LegacyCollisionEndings = """
        iE7e00Kx aEBt00;_ rCmG00O{ LvhE10hl SkUW20n{ Jfp550Jt KayE50;y m-CK50oy 4cKK60jp pT3470uI C7x390@F yC5x90uU
        WMCdb0g` omOGj053 acVGp0f` -IiRs0kr Gixlt0H^ m_OMu0Q0 -IlWv07H w680w0Wo 8kYqx0q{ ditIx0]q PRbFy0Ib bTdGy0~U
        oMYmA0`r PXy5B08u Yo6LB0b] jRMQB0~{ Gf6kC0CL Ey1UD0mv Xg8YE0JH 43gzF0<a AWGDG01D 6PE_I0v| WfkhJ0Xm DfDbK0XW
        eiR3M067 Bdy4M0KN WVBAO080 JBXAP0Fy 4dyEQ0<b TiCHQ0he PSF1U09; moR0V0QH YbbBW0Ua E5EoY0Eo vGn5-0At BjUF-0By
        mX-j11ro fJ1z11Qx 2wDE21h9 -bI131fi NcAS41CC x6wg514X OudY51CC pCGH61kr 4UEK8137 Ha-v91:D ZYfFb1DY PYRJe1on
        """;

    private static List<string> CreateLegacyCollisions()
    {
        string prefix = new('p', 190);
        List<string> names = [.. LegacyCollisionEndings.Split([' ', '\n']).Select(ending => prefix + ending)];
        Assert.Single(names.Select(name =>
            DirectoryHash.Of(DirectoryHashKind.Legacy, [0, 0, 0, 0], Encoding.Latin1.GetBytes(name)).Major).Distinct());
        return names;
    }

    private sealed class UnpinnedDirectory(DirectoryInMemory inner) : IDirectoryBlocks
    {
        public DirectoryFormat Format => inner.Format;

        public uint InodeNumber => inner.InodeNumber;

        public uint ChecksumSeed => inner.ChecksumSeed;

        public uint BlockCount => inner.BlockCount;

        public bool IsIndexed { get => inner.IsIndexed; set => inner.IsIndexed = value; }

        public DirectoryBlock Get(uint logicalBlock) => new(logicalBlock, inner.Blocks[(int)logicalBlock], null);

        public void Modify(in DirectoryBlock block) => inner.Modify(block);

        public FileSystemError Append(out DirectoryBlock block) => inner.Append(out block);
    }
}
