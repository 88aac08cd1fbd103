namespace VDiskCrypt.Ext4.Inodes;

/// <summary>The block ranges of an inode whose first data is under way. Mostly empty or one.</summary>
internal sealed class PendingWrites
{
    private readonly List<(uint First, uint Count)> _ranges = [];
    private volatile int _count;

    public bool IsEmpty => _count == 0;

    public void Add(uint first, uint count)
    {
        lock (_ranges)
        {
            _ranges.Add((first, count));
            _count = _ranges.Count;
        }
    }

    public void Remove(uint first, uint count)
    {
        lock (_ranges)
        {
            _ranges.Remove((first, count));
            _count = _ranges.Count;
        }
    }

    /// <summary>Whether the block is pending, and how many blocks from it on share that answer, at most <paramref name="limit"/>.</summary>
    public bool Contains(uint block, uint limit, out uint run)
    {
        lock (_ranges)
        {
            run = limit;
            foreach ((uint first, uint count) in _ranges)
            {
                if (block - first < count)
                {
                    run = Math.Min(limit, count - (block - first));
                    return true;
                }

                if (first > block)
                {
                    run = Math.Min(run, first - block);
                }
            }

            return false;
        }
    }
}
