using System.Numerics;

namespace VDiskCrypt.Ext4.Inodes;

/// <summary>
/// How often each inode was handed out: open addressing over two arrays, 12 bytes a slot, so that a million referenced
/// inodes cost at most 32 bytes each.
/// </summary>
internal sealed class ReferenceTable
{
    private const int ShardCount = 32;
    private const int InitialCapacity = 64;

    private readonly Shard[] _shards = new Shard[ShardCount];

    public ReferenceTable()
    {
        for (int i = 0; i < ShardCount; i++)
        {
            _shards[i] = new Shard();
        }
    }

    public void Add(uint inode)
    {
        Shard shard = ShardOf(inode);
        lock (shard)
        {
            shard.Add(inode);
        }
    }

    /// <summary>Drops references; more than there are drop all.</summary>
    /// <returns>Whether the inode had references and has none now.</returns>
    public bool Remove(uint inode, ulong count)
    {
        Shard shard = ShardOf(inode);
        lock (shard)
        {
            return shard.Remove(inode, count);
        }
    }

    public bool Contains(uint inode)
    {
        Shard shard = ShardOf(inode);
        lock (shard)
        {
            return shard.Find(inode) >= 0;
        }
    }

    private Shard ShardOf(uint inode) => _shards[inode % ShardCount];

    private sealed class Shard
    {
        private uint[] _keys = new uint[InitialCapacity];
        private ulong[] _counts = new ulong[InitialCapacity];
        private int _used;

        public int Find(uint inode)
        {
            int mask = _keys.Length - 1;
            for (int slot = Home(inode); _keys[slot] != 0; slot = (slot + 1) & mask)
            {
                if (_keys[slot] == inode)
                {
                    return slot;
                }
            }

            return -1;
        }

        public void Add(uint inode)
        {
            int slot = Find(inode);
            if (slot >= 0)
            {
                _counts[slot]++;
                return;
            }

            if ((_used + 1) * 4 > _keys.Length * 3)
            {
                Resize(_keys.Length * 2);
            }

            Insert(inode, 1);
            _used++;
        }

        public bool Remove(uint inode, ulong count)
        {
            int slot = Find(inode);
            if (slot < 0)
            {
                return false;
            }

            if (_counts[slot] > count)
            {
                _counts[slot] -= count;
                return false;
            }

            Delete(slot);
            _used--;
            if (_keys.Length > InitialCapacity && _used * 8 < _keys.Length)
            {
                Resize(_keys.Length / 2);
            }

            return true;
        }

        private int Home(uint inode) =>
            (int)(inode * 0x9E3779B97F4A7C15 >> (64 - BitOperations.Log2((uint)_keys.Length)));

        private void Insert(uint inode, ulong count)
        {
            int mask = _keys.Length - 1;
            int slot = Home(inode);
            while (_keys[slot] != 0)
            {
                slot = (slot + 1) & mask;
            }

            _keys[slot] = inode;
            _counts[slot] = count;
        }

        /// <summary>Closes the gap: entries behind it move up as long as that brings them nearer to their home.</summary>
        private void Delete(int gap)
        {
            int mask = _keys.Length - 1;
            for (int slot = (gap + 1) & mask; _keys[slot] != 0; slot = (slot + 1) & mask)
            {
                int distance = (slot - Home(_keys[slot])) & mask;
                if (distance >= ((slot - gap) & mask))
                {
                    _keys[gap] = _keys[slot];
                    _counts[gap] = _counts[slot];
                    gap = slot;
                }
            }

            _keys[gap] = 0;
        }

        private void Resize(int capacity)
        {
            (uint[] keys, ulong[] counts) = (_keys, _counts);
            _keys = new uint[capacity];
            _counts = new ulong[capacity];
            for (int i = 0; i < keys.Length; i++)
            {
                if (keys[i] != 0)
                {
                    Insert(keys[i], counts[i]);
                }
            }
        }
    }
}
