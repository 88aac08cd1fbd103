namespace VDiskCrypt.Ext4.Journal;

/// <summary>
/// The blocks whose committed version is in the log and not yet in its own place. It has at most as many entries as the
/// log has blocks. Thread-safe.
/// </summary>
internal sealed class LogMap
{
    private readonly Dictionary<ulong, LoggedBlock> _blocks = [];
    private readonly Lock _lock = new();

    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _blocks.Count;
            }
        }
    }

    public bool TryGet(ulong block, out LoggedBlock logged)
    {
        lock (_lock)
        {
            return _blocks.TryGetValue(block, out logged);
        }
    }

    /// <summary>Whether the map still says so: what was read from that place of the log is the block.</summary>
    public bool IsCurrent(ulong block, LoggedBlock logged) => TryGet(block, out LoggedBlock current) && current == logged;

    public void Set(ulong block, LoggedBlock logged)
    {
        lock (_lock)
        {
            _blocks[block] = logged;
        }
    }

    public void Remove(ulong block)
    {
        lock (_lock)
        {
            _blocks.Remove(block);
        }
    }

    public void Clear()
    {
        lock (_lock)
        {
            _blocks.Clear();
        }
    }

    /// <summary>All blocks, ascending.</summary>
    public (ulong Block, LoggedBlock Logged)[] Sorted()
    {
        lock (_lock)
        {
            var all = new (ulong Block, LoggedBlock Logged)[_blocks.Count];
            int count = 0;
            foreach ((ulong block, LoggedBlock logged) in _blocks)
            {
                all[count++] = (block, logged);
            }

            Array.Sort(all, static (left, right) => left.Block.CompareTo(right.Block));
            return all;
        }
    }
}
