using System.Text;
using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Directories;
using VDiskCrypt.Ext4.OnDisk;
using Xunit;

namespace VDiskCrypt.Ext4.Tests;

/// <summary>A directory whose blocks are arrays; counts pins and notices changes that were not announced.</summary>
internal sealed class DirectoryInMemory(DirectoryFormat format, uint inodeNumber, uint checksumSeed) : IDirectoryBlocks
{
    private readonly HashSet<uint> _modified = [];

    public List<byte[]> Blocks { get; } = [];

    public int OpenPins { get; private set; }

    public uint BlockLimit { get; set; } = uint.MaxValue;

    public DirectoryFormat Format => format;

    public uint InodeNumber => inodeNumber;

    public uint ChecksumSeed => checksumSeed;

    public uint BlockCount => (uint)Blocks.Count;

    public bool IsIndexed { get; set; }

    public static DirectoryFormat CreateFormat(
        int blockByteSize, bool checksums = true, bool largeDirectory = false, byte hash = 1, bool isUnsigned = false,
        byte[]? seed = null, uint inodeCount = 1_000_000)
    {
        var superblock = new SuperblockOnDisk(new byte[1024])
        {
            LogBlockSize = (uint)int.Log2(blockByteSize) - 10,
            InodeCount = inodeCount,
            Compatible = CompatibleFeatures.DirectoryIndex,
            Incompatible = IncompatibleFeatures.FileType | (largeDirectory ? IncompatibleFeatures.LargeDirectory : 0),
            ReadOnlyCompatible = checksums ? ReadOnlyCompatibleFeatures.MetadataChecksum : 0,
            DefaultHashVersion = hash,
            Flags = isUnsigned ? SuperblockOnDisk.FlagUnsignedHash : SuperblockOnDisk.FlagSignedHash,
        };
        (seed ?? [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]).CopyTo(superblock.HashSeed);
        return new DirectoryFormat(superblock);
    }

    public static DirectoryInMemory CreateEmpty(DirectoryFormat format, uint inode = 12, uint parent = 2, uint seed = 0x1234)
    {
        var directory = new DirectoryInMemory(format, inode, seed);
        Assert.Equal(FileSystemError.None, directory.Append(out DirectoryBlock block));
        using (block)
        {
            DirectoryOperations.Initialize(directory, block, parent);
        }

        directory.StartChange();
        return directory;
    }

    public DirectoryBlock Get(uint logicalBlock)
    {
        OpenPins++;
        return new DirectoryBlock(logicalBlock, Blocks[(int)logicalBlock], new PinCount(this));
    }

    public void Modify(in DirectoryBlock block) => _modified.Add(block.LogicalBlock);

    public FileSystemError Append(out DirectoryBlock block)
    {
        block = default;
        if (BlockCount >= BlockLimit)
        {
            return FileSystemError.NoSpace;
        }

        Blocks.Add(new byte[format.BlockByteSize]);
        _modified.Add(BlockCount - 1);
        block = Get(BlockCount - 1);
        return FileSystemError.None;
    }

    public void StartChange() => _modified.Clear();

    public int ModifiedCount => _modified.Count;

    /// <summary>Every block passes the check at loading, and no pin is left.</summary>
    public void AssertSound()
    {
        for (int i = 0; i < Blocks.Count; i++)
        {
            DirectoryBlockCheck.Verify(this, (uint)i, Blocks[i]);
        }

        Assert.Equal(0, OpenPins);
    }

    public FileSystemError Insert(string name, uint inode)
    {
        byte[][] before = Blocks.Select(block => (byte[])block.Clone()).ToArray();
        StartChange();
        FileSystemError error = DirectoryOperations.Insert(this, Encoding.Latin1.GetBytes(name), inode, 1);
        for (int i = 0; i < before.Length; i++)
        {
            Assert.True(_modified.Contains((uint)i) || before[i].AsSpan().SequenceEqual(Blocks[i]), $"block {i} changed unannounced");
        }

        return error;
    }

    public FileSystemError InsertFast(ReadOnlySpan<byte> name, uint inode)
    {
        StartChange();
        return DirectoryOperations.Insert(this, name, inode, 1);
    }

    public uint? Lookup(string name) =>
        DirectoryOperations.Lookup(this, Encoding.Latin1.GetBytes(name), out uint inode, out _) ? inode : null;

    /// <summary>Lists everything, <paramref name="perCall"/> entries a call.</summary>
    public List<(string Name, uint Inode)> List(int perCall = int.MaxValue, Action<int>? betweenCalls = null)
    {
        var visitor = new Collector();
        ulong cookie = 0;
        for (int call = 0; ; call++)
        {
            visitor.Room = perCall;
            int before = visitor.Found.Count;
            DirectoryOperations.Enumerate(this, cookie, visitor);
            if (visitor.Found.Count == before)
            {
                Assert.Equal(0, OpenPins);
                return visitor.Found;
            }

            cookie = visitor.LastCookie;
            betweenCalls?.Invoke(call);
        }
    }

    private sealed class PinCount(DirectoryInMemory owner) : IDisposable
    {
        public void Dispose() => owner.OpenPins--;
    }

    private sealed class Collector : IDirectoryEntryVisitor
    {
        public List<(string Name, uint Inode)> Found { get; } = [];

        public int Room { get; set; }

        public ulong LastCookie { get; private set; }

        public bool Visit(ReadOnlySpan<byte> name, uint inode, byte fileType, ulong nextCookie)
        {
            if (Room-- == 0)
            {
                return false;
            }

            Assert.True(nextCookie > LastCookie && nextCookie < long.MaxValue);
            LastCookie = nextCookie;
            Found.Add((Encoding.Latin1.GetString(name), inode));
            return true;
        }
    }
}
