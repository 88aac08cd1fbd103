namespace VDiskCrypt.Fuse;

/// <summary>What the threads of one queue of FUSE over io_uring share.</summary>
/// <param name="index">The processor whose requests the kernel puts there.</param>
internal sealed class RingQueue(int index)
{
    private ulong _regularNode;

    public int Index { get; } = index;

    /// <summary>A regular file that the kernel has asked for here, the latest; 0 before the first.</summary>
    public ulong RegularNode
    {
        get => Volatile.Read(ref _regularNode);
        set => Volatile.Write(ref _regularNode, value);
    }
}
