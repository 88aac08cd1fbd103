using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Directories;
using VDiskCrypt.Ext4.Inodes;
using VDiskCrypt.Ext4.OnDisk;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4.Files;

/// <summary>The names in directories. The caller holds the directory's lock, and saves its inode after a change.</summary>
internal sealed class DirectoryContent(DirectoryFormat format, FileContent content)
{
    private readonly ThreadLocal<DirectoryBlocks> _blocks = new(() => new DirectoryBlocks(format, content));

    public bool TryFind(Inode directory, ReadOnlySpan<byte> name, out uint number, out byte type) =>
        DirectoryOperations.Lookup(Blocks(directory, null), name, out number, out type);

    /// <summary>The first block of a new directory.</summary>
    public FileSystemError Initialize(TransactionHandle handle, Inode directory, uint parent)
    {
        DirectoryBlocks blocks = Blocks(directory, handle);
        FileSystemError error = blocks.Append(out DirectoryBlock block);
        if (error == FileSystemError.None)
        {
            using (block)
            {
                DirectoryOperations.Initialize(blocks, block, parent);
            }
        }

        return error;
    }

    public FileSystemError Add(TransactionHandle handle, Inode directory, ReadOnlySpan<byte> name, uint number, byte type) =>
        DirectoryOperations.Insert(Blocks(directory, handle), name, number, type);

    public void Remove(TransactionHandle handle, Inode directory, ReadOnlySpan<byte> name) =>
        Require(DirectoryOperations.Remove(Blocks(directory, handle), name), directory);

    public void Replace(TransactionHandle handle, Inode directory, ReadOnlySpan<byte> name, uint number, byte type) =>
        Require(DirectoryOperations.Replace(Blocks(directory, handle), name, number, type), directory);

    public bool IsEmpty(Inode directory) => DirectoryOperations.IsEmpty(Blocks(directory, null));

    /// <summary>A visitor may look at other inodes, and must not come back here.</summary>
    public void List(Inode directory, ulong cookie, IDirectoryEntryVisitor visitor) =>
        DirectoryOperations.Enumerate(Blocks(directory, null), cookie, visitor);

    public uint ReadParent(Inode directory) =>
        TryFind(directory, ".."u8, out uint number, out _) ? number : throw Missing(directory);

    public void WriteParent(TransactionHandle handle, Inode directory, uint number) =>
        Replace(handle, directory, ".."u8, number, DirectoryEntryOnDisk.TypeDirectory);

    private static void Require(bool found, Inode directory)
    {
        if (!found)
        {
            throw Missing(directory);
        }
    }

    private static VDiskException Missing(Inode directory) => VDiskException.Damaged(
        $"ext4 directory inode {directory.Number}", 0, "an entry that was there a moment ago is missing", "check the filesystem with e2fsck");

    private DirectoryBlocks Blocks(Inode directory, TransactionHandle? handle) => _blocks.Value!.Of(directory, handle);
}
