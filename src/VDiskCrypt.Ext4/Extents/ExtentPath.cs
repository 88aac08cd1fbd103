using VDiskCrypt.Ext4.Cache;
using VDiskCrypt.Ext4.Inodes;
using VDiskCrypt.Ext4.OnDisk;

namespace VDiskCrypt.Ext4.Extents;

/// <summary>The way from the root of an extent tree to a leaf. One per thread; it pins the blocks that it passes.</summary>
internal sealed class ExtentPath
{
    [ThreadStatic]
    private static ExtentPath? _ofThread;

    private readonly MetadataBlock?[] _blocks = new MetadataBlock?[ExtentNodeOnDisk.MaximumDepth + 2];
    private readonly int[] _index = new int[ExtentNodeOnDisk.MaximumDepth + 2];
    private Inode _inode = null!;

    public static ExtentPath OfThread => _ofThread ??= new ExtentPath();

    /// <summary>The level of the leaf; 0 when the root is one.</summary>
    public int Depth { get; set; }

    public ref int Index(int level) => ref _index[level];

    /// <summary>Null for the root.</summary>
    public MetadataBlock? Block(int level) => _blocks[level];

    public ExtentNodeOnDisk Node(int level) => new(level == 0 ? _inode.Block : _blocks[level]!.Bytes);

    public void Start(Inode inode)
    {
        Release();
        _inode = inode;
        Depth = 0;
    }

    /// <summary>Takes over the pin of the block.</summary>
    public void Set(int level, MetadataBlock block) => _blocks[level] = block;

    public void Release()
    {
        for (int level = 1; level < _blocks.Length; level++)
        {
            _blocks[level]?.Dispose();
            _blocks[level] = null;
        }
    }
}
