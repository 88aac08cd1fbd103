using VDiskCrypt.Ext4.Inodes;

namespace VDiskCrypt.Ext4.Concurrency;

/// <summary>
/// The exclusive locks of up to four inodes, taken in ascending order of their numbers so that no two operations wait for
/// each other; an inode named twice is locked once.
/// </summary>
internal struct InodeLocks : IDisposable
{
    private Inode? _first;
    private Inode? _second;
    private Inode? _third;
    private Inode? _fourth;

    public InodeLocks(Inode first, Inode? second = null, Inode? third = null, Inode? fourth = null)
    {
        (_first, _second, _third, _fourth) = (first, second, third, fourth);
        Order(ref _first, ref _second);
        Order(ref _third, ref _fourth);
        Order(ref _first, ref _third);
        Order(ref _second, ref _fourth);
        Order(ref _second, ref _third);
        Enter(_first, null);
        Enter(_second, _first);
        Enter(_third, _second);
        Enter(_fourth, _third);
    }

    public void Dispose()
    {
        Exit(_fourth, _third);
        Exit(_third, _second);
        Exit(_second, _first);
        Exit(_first, null);
        _first = _second = _third = _fourth = null;
    }

    /// <summary>Nulls go to the end.</summary>
    private static void Order(ref Inode? left, ref Inode? right)
    {
        if (right is not null && (left is null || right.Number < left.Number))
        {
            (left, right) = (right, left);
        }
    }

    private static void Enter(Inode? inode, Inode? before)
    {
        if (inode is not null && inode != before)
        {
            inode.Lock.EnterExclusive();
        }
    }

    private static void Exit(Inode? inode, Inode? before)
    {
        if (inode is not null && inode != before)
        {
            inode.Lock.ExitExclusive();
        }
    }
}
