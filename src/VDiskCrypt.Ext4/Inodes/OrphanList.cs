using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Cache;
using VDiskCrypt.Ext4.OnDisk;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4.Inodes;

/// <summary>
/// The inodes whose deletion or truncation is not finished, so that a crash leaves nothing behind: a list chained through
/// i_dtime from the superblock on, or, with the orphan_file feature, slots of a file (Linux
/// Documentation/filesystems/ext4/orphan.rst), with the list for what does not fit.
/// </summary>
internal sealed class OrphanList(SuperblockState superblock, OrphanFile? file)
{
    private readonly LinkedList<uint> _chain = new();
    private readonly Dictionary<uint, LinkedListNode<uint>> _nodes = [];
    private readonly Dictionary<uint, int> _slots = [];
    private readonly Lock _lock = new();

    public required InodeStore Inodes { get; init; }

    public bool Contains(uint inode)
    {
        lock (_lock)
        {
            return _nodes.ContainsKey(inode) || _slots.ContainsKey(inode);
        }
    }

    public List<uint> Snapshot()
    {
        lock (_lock)
        {
            return [.. _nodes.Keys, .. _slots.Keys];
        }
    }

    public void Add(TransactionHandle handle, uint inode)
    {
        lock (_lock)
        {
            if (_nodes.ContainsKey(inode) || _slots.ContainsKey(inode))
            {
                return;
            }

            if (file is not null && file.TryAdd(handle, inode, out int slot))
            {
                _slots.Add(inode, slot);
                return;
            }

            Inodes.SetDeletionTime(handle, inode, _chain.First?.Value ?? 0);
            _nodes.Add(inode, _chain.AddFirst(inode));
            StoreHead(handle);
        }
    }

    /// <summary>Takes an inode off; its i_dtime is 0 afterwards.</summary>
    public void Remove(TransactionHandle handle, uint inode)
    {
        lock (_lock)
        {
            if (_slots.Remove(inode, out int slot))
            {
                file!.Clear(handle, slot);
                return;
            }

            if (!_nodes.Remove(inode, out LinkedListNode<uint>? node))
            {
                return;
            }

            uint next = node.Next?.Value ?? 0;
            if (node.Previous is { } previous)
            {
                Inodes.SetDeletionTime(handle, previous.Value, next);
                _chain.Remove(node);
            }
            else
            {
                _chain.Remove(node);
                StoreHead(handle);
            }

            Inodes.SetDeletionTime(handle, inode, 0);
        }
    }

    /// <summary>Takes in what a crash left on disk.</summary>
    /// <param name="inodeCount">No list is longer.</param>
    /// <param name="isValid">Whether a number can be an orphan.</param>
    /// <returns>The inodes.</returns>
    public List<uint> Load(uint inodeCount, Func<uint, bool> isValid)
    {
        var found = new List<uint>();
        uint inode = superblock.View.LastOrphan;
        while (inode != 0)
        {
            if (!isValid(inode) || _nodes.ContainsKey(inode) || found.Count > inodeCount)
            {
                throw VDiskException.Damaged(
                    "ext4 orphan list", SuperblockOnDisk.ByteOffset + 0xE8, $"inode {inode} cannot be an orphan",
                    "check the filesystem with e2fsck");
            }

            _nodes.Add(inode, _chain.AddLast(inode));
            found.Add(inode);
            inode = Inodes.GetDeletionTime(inode);
        }

        file?.Load((slotInode, slot) =>
        {
            if (!isValid(slotInode) || _nodes.ContainsKey(slotInode) || !_slots.TryAdd(slotInode, slot))
            {
                throw VDiskException.Damaged(
                    "ext4 orphan file", 0, $"inode {slotInode} cannot be an orphan", "check the filesystem with e2fsck");
            }

            found.Add(slotInode);
        });
        return found;
    }

    private void StoreHead(TransactionHandle handle)
    {
        lock (superblock)
        {
            superblock.Modify(handle);
            SuperblockOnDisk view = superblock.View;
            view.LastOrphan = _chain.First?.Value ?? 0;
        }
    }
}
