using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Cache;
using VDiskCrypt.Ext4.OnDisk;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4;

/// <summary>The superblock while the filesystem is open: its block, pinned. The monitor of this object guards changes.</summary>
internal sealed class SuperblockState(Geometry geometry, BlockCache cache) : IDisposable
{
    private readonly MetadataBlock _block = cache.Get(SuperblockOnDisk.ByteOffset / (ulong)geometry.BlockByteSize);
    private readonly int _offset = SuperblockOnDisk.ByteOffset % geometry.BlockByteSize;
    private readonly bool _hasChecksum = geometry.Has(ReadOnlyCompatibleFeatures.MetadataChecksum);

    public SuperblockOnDisk View => new(_block.Bytes.Slice(_offset, SuperblockOnDisk.ByteLength));

    /// <summary>Call it before a change through <see cref="View"/>; the checksum is set when the transaction is sealed.</summary>
    public void Modify(TransactionHandle handle) => handle.Modify(_block);

    /// <summary>Whether the transaction changes it.</summary>
    public bool IsPartOf(Transaction transaction) => _block.Transaction == transaction;

    public void StoreChecksum()
    {
        if (_hasChecksum)
        {
            SuperblockOnDisk view = View;
            view.Checksum = MetadataChecksum.Superblock(view.Bytes);
        }
    }

    /// <summary>Writes it straight to its place, durable, while no transaction holds a change of it.</summary>
    public void WriteInPlace(IBlockDevice device)
    {
        StoreChecksum();
        device.Write(SuperblockOnDisk.ByteOffset, View.Bytes, forceUnitAccess: true);
    }

    public void Dispose() => _block.Dispose();
}
