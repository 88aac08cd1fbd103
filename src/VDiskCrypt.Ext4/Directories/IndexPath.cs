using System.Runtime.CompilerServices;

namespace VDiskCrypt.Ext4.Directories;

/// <summary>The way from the root of a directory's index to a leaf: a node and a position in it for each level.</summary>
internal struct IndexPath
{
    /// <summary>Root and up to two levels below it (large_dir).</summary>
    private const int MaximumLevels = 3;

    private Steps _steps;

    /// <summary>The last level; 0 when the root refers to leaves.</summary>
    public int Depth { get; set; }

    public DirectoryHashKind HashKind { get; set; }

    /// <summary>Leaves seen since the search began: bounds a search through an index that leads in circles.</summary>
    public uint LeafCount { get; set; }

    public readonly uint Block(int level) => _steps[level].Block;

    public readonly int Position(int level) => _steps[level].Position;

    public void Set(int level, uint logicalBlock, int position) => _steps[level] = new Step(logicalBlock, position);

    private readonly record struct Step(uint Block, int Position);

    [InlineArray(MaximumLevels)]
    private struct Steps
    {
        private Step _first;
    }
}
