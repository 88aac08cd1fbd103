namespace VDiskCrypt.Ext4.Directories;

/// <summary>One block of a directory, kept in memory until Dispose.</summary>
internal readonly ref struct DirectoryBlock
{
    private readonly IDisposable? _pin;

    /// <param name="logicalBlock">The block's place in the directory.</param>
    /// <param name="bytes">All of the block.</param>
    /// <param name="pin">What is to be disposed when the block is no longer used.</param>
    public DirectoryBlock(uint logicalBlock, Span<byte> bytes, IDisposable? pin)
    {
        LogicalBlock = logicalBlock;
        Bytes = bytes;
        _pin = pin;
    }

    public uint LogicalBlock { get; }

    public Span<byte> Bytes { get; }

    public IDisposable? Pin => _pin;

    public void Dispose() => _pin?.Dispose();
}
