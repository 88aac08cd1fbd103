using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Inodes;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4;

/// <content>What regular files hold.</content>
public sealed partial class Ext4FileSystem
{
    /// <inheritdoc/>
    public FileSystemError Read(ulong inode, long byteOffset, Span<byte> destination, out int byteCount)
    {
        byteCount = 0;
        Inode? file = _inodes.TryGet(inode);
        if (file is null)
        {
            return FileSystemError.StaleInode;
        }

        file.Lock.EnterShared();
        try
        {
            FileSystemError error = CheckRegular(file);
            if (error == FileSystemError.None && byteOffset < 0)
            {
                error = FileSystemError.InvalidArgument;
            }

            if (error == FileSystemError.None)
            {
                byteCount = _content.Read(file, byteOffset, destination);
            }

            return error;
        }
        finally
        {
            file.Lock.ExitShared();
            file.Unpin();
        }
    }

    /// <inheritdoc/>
    public FileSystemError Write(ulong inode, long byteOffset, ReadOnlySpan<byte> source, out int byteCount)
    {
        byteCount = 0;
        if (_isReadOnly)
        {
            return FileSystemError.ReadOnly;
        }

        Inode? file = _inodes.TryGet(inode);
        if (file is null)
        {
            return FileSystemError.StaleInode;
        }

        try
        {
            FileSystemError error = CheckRegular(file);
            if (error != FileSystemError.None || source.IsEmpty)
            {
                return error;
            }

            if (byteOffset < 0)
            {
                return FileSystemError.InvalidArgument;
            }

            error = DropCapability(file);
            if (error != FileSystemError.None)
            {
                return error;
            }

            int attempt = 0;
            do
            {
                error = WriteLocked(file, byteOffset + byteCount, source[byteCount..], out int part);
                byteCount += part;
            }
            while (ShouldRetry(error, ref attempt));
            return error;
        }
        finally
        {
            file.Unpin();
        }
    }

    /// <inheritdoc/>
    public FileSystemError Sync(ulong inode, bool dataOnly)
    {
        Inode? file = _inodes.TryGet(inode);
        if (file is null)
        {
            return FileSystemError.StaleInode;
        }

        ulong transaction = dataOnly ? file.LastDataTransaction : file.LastTransaction;
        file.Unpin();
        Sync(transaction);

        if (_dataErrors.TryGetValue((uint)inode, out VDiskException? sticky))
        {
            throw new VDiskException(sticky.Kind, sticky.Message, sticky.Where, sticky.Remedy, sticky);
        }

        return FileSystemError.None;
    }

    /// <inheritdoc/>
    public FileSystemError SyncAll()
    {
        Sync(_log.RunningId);
        return FileSystemError.None;
    }

    /// <inheritdoc/>
    public FileSystemError Allocate(ulong inode, AllocateFlags flags, long byteOffset, long byteCount)
    {
        if (_isReadOnly)
        {
            return FileSystemError.ReadOnly;
        }

        Inode? file = _inodes.TryGet(inode);
        if (file is null)
        {
            return FileSystemError.StaleInode;
        }

        try
        {
            int attempt = 0;
            FileSystemError error;
            do
            {
                file.Lock.EnterExclusive();
                try
                {
                    error = CheckRegular(file);
                    if (error == FileSystemError.None)
                    {
                        error = _content.Allocate(file, flags, byteOffset, byteCount);
                    }
                }
                finally
                {
                    file.Lock.ExitExclusive();
                }
            }
            while (ShouldRetry(error, ref attempt));
            return error;
        }
        finally
        {
            file.Unpin();
        }
    }

    /// <inheritdoc/>
    public FileSystemError Seek(ulong inode, long byteOffset, SeekTarget target, out long found)
    {
        found = 0;
        Inode? file = _inodes.TryGet(inode);
        if (file is null)
        {
            return FileSystemError.StaleInode;
        }

        file.Lock.EnterShared();
        try
        {
            FileSystemError error = CheckRegular(file);
            return error == FileSystemError.None ? _content.Seek(file, byteOffset, target, out found) : error;
        }
        finally
        {
            file.Lock.ExitShared();
            file.Unpin();
        }
    }

    /// <summary>
    /// Before contents change: the surface does not ask for it, since the kernel expects it of every write. One look per
    /// inode in memory; whether there are capabilities is remembered.
    /// </summary>
    private FileSystemError DropCapability(Inode file)
    {
        if (file.HasNoCapability)
        {
            return FileSystemError.None;
        }

        using var locks = new Concurrency.InodeLocks(file);
        if (file.IsFreed || !_attributes.HasCapability(file))
        {
            return FileSystemError.None;
        }

        using TransactionHandle handle = _log.Begin(AttributeCredits);
        FileSystemError error = _attributes.RemoveCapability(handle, file);
        _inodes.Save(handle, file, changesData: false);
        handle.Complete();
        return error;
    }

    /// <summary>
    /// Durable on return: the transaction, and the data that was written before the call. A commit's flush serves for the
    /// data if it began since.
    /// </summary>
    private void Sync(ulong transaction)
    {
        if (_isReadOnly)
        {
            return;
        }

        long now = _flushes.Now;
        _log.CommitThrough(transaction);
        _log.ThrowIfAborted();
        _flushes.FlushSince(now);
    }

    private FileSystemError WriteLocked(Inode file, long byteOffset, ReadOnlySpan<byte> source, out int byteCount)
    {
        bool isShared = _content.IsAligned(byteOffset, source.Length);
        if (isShared)
        {
            file.Lock.EnterShared();
        }
        else
        {
            file.Lock.EnterExclusive();
        }

        try
        {
            if (file.IsFreed)
            {
                byteCount = 0;
                return FileSystemError.StaleInode;
            }

            return _content.Write(file, byteOffset, source, out byteCount);
        }
        catch (VDiskException exception) when (exception.Kind != FailureKind.Unsupported)
        {
            _dataErrors.TryAdd(file.Number, exception);
            throw;
        }
        finally
        {
            if (isShared)
            {
                file.Lock.ExitShared();
            }
            else
            {
                file.Lock.ExitExclusive();
            }
        }
    }

    private static FileSystemError CheckRegular(Inode inode)
    {
        if (inode.IsFreed)
        {
            return FileSystemError.StaleInode;
        }

        return inode.IsRegular ? FileSystemError.None
            : inode.IsDirectory ? FileSystemError.IsDirectory : FileSystemError.InvalidArgument;
    }
}
