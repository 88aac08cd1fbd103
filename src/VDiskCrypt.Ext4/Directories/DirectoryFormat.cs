using VDiskCrypt.Ext4.OnDisk;

namespace VDiskCrypt.Ext4.Directories;

/// <summary>What all directories of one filesystem have in common.</summary>
internal sealed class DirectoryFormat
{
    /// <summary>Levels of index nodes below the root.</summary>
    private const int UsualIndexDepth = 1;

    private const int LargeIndexDepth = 2;

    private readonly uint[] _hashSeed = new uint[4];

    public DirectoryFormat(SuperblockOnDisk superblock)
    {
        BlockByteSize = 1024 << (int)superblock.LogBlockSize;
        InodeCount = superblock.InodeCount;
        HasChecksums = (superblock.ReadOnlyCompatible & ReadOnlyCompatibleFeatures.MetadataChecksum) != 0;
        HasFileTypes = (superblock.Incompatible & IncompatibleFeatures.FileType) != 0;
        HasIndexes = (superblock.Compatible & CompatibleFeatures.DirectoryIndex) != 0;
        MaximumIndexDepth = (superblock.Incompatible & IncompatibleFeatures.LargeDirectory) != 0
            ? LargeIndexDepth
            : UsualIndexDepth;
        HasUnsignedHashes = (superblock.Flags & SuperblockOnDisk.FlagUnsignedHash) != 0;
        DefaultHashVersion = superblock.DefaultHashVersion <= (byte)DirectoryHashKind.Tea
            ? superblock.DefaultHashVersion
            : (byte)DirectoryHashKind.HalfMd4;
        for (int i = 0; i < _hashSeed.Length; i++)
        {
            _hashSeed[i] = superblock.HashSeed.U32(i * 4);
        }
    }

    public int BlockByteSize { get; }

    /// <summary>Entries may name inodes 1 to this.</summary>
    public uint InodeCount { get; }

    /// <summary>metadata_csum: leaves end with a tail of 12 bytes, index nodes with one of 8.</summary>
    public bool HasChecksums { get; }

    public bool HasFileTypes { get; }

    /// <summary>dir_index: directories that outgrow a block become indexed.</summary>
    public bool HasIndexes { get; }

    public int MaximumIndexDepth { get; }

    public bool HasUnsignedHashes { get; }

    /// <summary>dx_root_info.hash_version of a new index.</summary>
    public byte DefaultHashVersion { get; }

    public ReadOnlySpan<uint> HashSeed => _hashSeed;

    /// <summary>The bytes of a leaf block that hold entries.</summary>
    public int EntriesByteLength => BlockByteSize - (HasChecksums ? DirectoryEntryOnDisk.TailByteLength : 0);

    /// <summary>The function that a stored hash_version means on this filesystem; null for an unknown one.</summary>
    public DirectoryHashKind? HashKindOf(byte hashVersion) => hashVersion switch
    {
        <= (byte)DirectoryHashKind.Tea => (DirectoryHashKind)(hashVersion + (HasUnsignedHashes ? 3 : 0)),
        <= (byte)DirectoryHashKind.TeaUnsigned => (DirectoryHashKind)hashVersion,
        _ => null,
    };

    public DirectoryHash Hash(DirectoryHashKind kind, ReadOnlySpan<byte> name) => DirectoryHash.Of(kind, _hashSeed, name);
}
