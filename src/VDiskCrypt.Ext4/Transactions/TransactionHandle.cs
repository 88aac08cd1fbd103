using VDiskCrypt.Ext4.Cache;

namespace VDiskCrypt.Ext4.Transactions;

/// <summary>
/// One operation's part in the running transaction. <see cref="Complete"/> says that its changes belong together;
/// disposing a handle that changed something and was not completed stops the filesystem, so that half an operation never
/// reaches the device. Handles do not nest, and no inode lock is taken while one is open. Pooled: one per thread.
/// </summary>
internal sealed class TransactionHandle : IDisposable
{
    private readonly TransactionLog _log;
    private bool _isModified;
    private bool _isComplete;

    internal TransactionHandle(TransactionLog log) => _log = log;

    internal TransactionLog Log => _log;

    internal bool IsOpen { get; private set; }

    internal int Credits { get; private set; }

    public Transaction Transaction { get; private set; } = null!;

    /// <summary>Makes the block part of the transaction; call it before the first change of the bytes.</summary>
    public void Modify(MetadataBlock block)
    {
        _isModified = true;
        if (block.Transaction == Transaction)
        {
            return;
        }

        lock (block)
        {
            _log.Join(block, Transaction);
        }
    }

    /// <summary>The pinned block is free from now on: it is not written, not found and (with a journal) revoked.</summary>
    public void Forget(MetadataBlock block)
    {
        Modify(block);
        block.ForgottenIn = Transaction;
        Transaction.AddRevokedBlock(block.Number);
        _log.Cache.Detach(block);
    }

    /// <summary>All changes so far belong together.</summary>
    public void Complete() => _isComplete = true;

    /// <summary>
    /// Ends this part, consistent in itself, and begins the next, maybe in a later transaction. The caller holds no lock
    /// that another handle's owner could wait for.
    /// </summary>
    public void Restart()
    {
        int credits = Credits;
        Close();
        _log.Reopen(this, credits, mayCommit: true);
    }

    /// <summary>Whether the running transaction is full enough that a long operation should <see cref="Restart"/>.</summary>
    public bool ShouldRestart => _log.IsRunningLarge;

    public void Dispose()
    {
        if (!IsOpen)
        {
            return;
        }

        if (_isModified && !_isComplete)
        {
            _log.Abort("an operation stopped half way", null);
        }

        Close();
    }

    internal void Open(Transaction transaction, int credits)
    {
        Transaction = transaction;
        Credits = credits;
        IsOpen = true;
        _isModified = false;
        _isComplete = false;
    }

    private void Close()
    {
        IsOpen = false;
        _log.End(this);
    }
}
