using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Cache;

namespace VDiskCrypt.Ext4.Transactions;

/// <summary>
/// The running transaction, its handles and its commit. One transaction runs while at most one other commits. A commit
/// stops new handles only until the open ones have ended and the counters are in their blocks; while it writes, a changed
/// block keeps the committing version in a frozen copy.
/// </summary>
internal sealed unsafe class TransactionLog : IDisposable
{
    [ThreadStatic]
    private static TransactionHandle? _threadHandle;

    private readonly object _gate = new();
    private readonly Lock _commitLock = new();
    private readonly CommitTarget _target;
    private readonly bool _waitsForData;
    private readonly Action<TransactionHandle> _prepare;
    private readonly Action<Transaction> _released;
    private readonly Action<string, Exception?> _aborted;
    private readonly TransactionHandle _prepareHandle;

    private Transaction _running = new(1);
    private int _openHandleCount;
    private int _openCredits;
    private bool _isBarrierUp;
    private ulong _committedId;
    private volatile VDiskException? _abortReason;

    /// <param name="cache">The blocks.</param>
    /// <param name="target">Where commits go.</param>
    /// <param name="waitsForData">Ordered mode: data is written before the metadata that points to it is committed.</param>
    /// <param name="prepare">Called with no other handle open: puts counters and checksums into their blocks.</param>
    /// <param name="released">Called when a transaction is durable: what it freed may be used.</param>
    /// <param name="aborted">Called once, when the filesystem stops changing anything.</param>
    public TransactionLog(
        BlockCache cache, CommitTarget target, bool waitsForData, Action<TransactionHandle> prepare,
        Action<Transaction> released, Action<string, Exception?> aborted)
    {
        Cache = cache;
        _target = target;
        _waitsForData = waitsForData;
        _prepare = prepare;
        _released = released;
        _aborted = aborted;
        _prepareHandle = new TransactionHandle(this);
    }

    public BlockCache Cache { get; }

    public bool IsAborted => _abortReason is not null;

    /// <summary>The id of the transaction that changes go to now.</summary>
    public ulong RunningId => Volatile.Read(ref _running).Id;

    public bool IsRunningLarge => Volatile.Read(ref _running).BlockCount > _target.MaximumTransactionBlockCount / 2;

    /// <summary>Opens a handle that may change up to <paramref name="credits"/> blocks.</summary>
    public TransactionHandle Begin(int credits)
    {
        TransactionHandle? handle = _threadHandle;
        if (handle is null || handle.Log != this)
        {
            _threadHandle = handle = new TransactionHandle(this);
        }

        if (handle.IsOpen)
        {
            throw new VDiskException(FailureKind.Internal, "a transaction handle was opened inside another");
        }

        Reopen(handle, credits, mayCommit: true);
        return handle;
    }

    /// <summary>As <see cref="Begin"/>, for a thread that a commit may be waiting for: never waits for one.</summary>
    public TransactionHandle BeginUrgent(int credits)
    {
        var handle = new TransactionHandle(this);
        Reopen(handle, credits, mayCommit: false);
        return handle;
    }

    /// <summary>Commits the running transaction unless nothing changed; durable on return.</summary>
    public void Commit() => CommitThrough(RunningId);

    /// <summary>
    /// Returns once the transaction with this id is durable. Those who come while a commit is under way wait for the next,
    /// which one of them makes for all.
    /// </summary>
    public void CommitThrough(ulong id)
    {
        if (IsCommitted(id))
        {
            return;
        }

        lock (_commitLock)
        {
            if (_committedId < id)
            {
                CommitRunning();
            }
        }
    }

    /// <summary>Lets the target prepare for what comes; a failure stops the filesystem as a failed commit does.</summary>
    public void Tend()
    {
        lock (_commitLock)
        {
            ThrowIfAborted();
            try
            {
                _target.Tend();
            }
            catch (Exception exception)
            {
                Abort("committed changes could not be written to their places", exception);
                throw;
            }
        }
    }

    /// <summary>Whether a transaction is durable.</summary>
    public bool IsCommitted(ulong id) => Volatile.Read(ref _committedId) >= id;

    /// <summary>Whether something waits for a commit.</summary>
    public bool HasChanges => !Volatile.Read(ref _running).IsEmpty;

    public void ThrowIfAborted()
    {
        if (_abortReason is { } reason)
        {
            throw new VDiskException(FailureKind.ReadOnly, reason.Message, reason.Where, reason.Remedy, reason.InnerException);
        }
    }

    /// <summary>Nothing is committed any more: memory and device have parted.</summary>
    public void Abort(string what, Exception? cause)
    {
        var reason = new VDiskException(
            FailureKind.ReadOnly, $"the filesystem became read-only: {what}", (cause as VDiskException)?.Where,
            "unmount, check the storage below, then check the filesystem with e2fsck", cause);
        if (Interlocked.CompareExchange(ref _abortReason, reason, null) is null)
        {
            _target.Abandon();
            _aborted(what, cause);
        }

        lock (_gate)
        {
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>The bytes of a block as the committing transaction left them.</summary>
    public static void CopyCommitted(MetadataBlock block, Transaction transaction, Span<byte> destination)
    {
        lock (block)
        {
            ReadOnlySpan<byte> source = block.FrozenFor == transaction
                ? new ReadOnlySpan<byte>((void*)block.Frozen, block.Bytes.Length)
                : block.Bytes;
            source.CopyTo(destination);
        }
    }

    /// <summary>Commits what is left and closes the target.</summary>
    public void Dispose()
    {
        if (IsAborted)
        {
            return;
        }

        Commit();
        lock (_commitLock)
        {
            _target.Close();
        }
    }

    /// <summary>Adds a block to the transaction; under the block's monitor.</summary>
    internal void Join(MetadataBlock block, Transaction transaction)
    {
        Transaction? current = block.Transaction;
        if (current == transaction)
        {
            return;
        }

        if (current is not null)
        {
            block.Frozen = Cache.Pool.Rent();
            block.Bytes.CopyTo(new Span<byte>((void*)block.Frozen, block.Bytes.Length));
            block.FrozenFor = current;
        }

        block.Pin();
        transaction.AddBlock(block);
        block.Transaction = transaction;
    }

    internal void Reopen(TransactionHandle handle, int credits, bool mayCommit)
    {
        while (true)
        {
            lock (_gate)
            {
                while (_isBarrierUp && !IsAborted)
                {
                    Monitor.Wait(_gate);
                }

                ThrowIfAborted();
                if (!mayCommit || _openHandleCount == 0 && _running.IsEmpty
                    || _running.BlockCount + _openCredits + credits <= _target.MaximumTransactionBlockCount)
                {
                    _openHandleCount++;
                    _openCredits += credits;
                    handle.Open(_running, credits);
                    return;
                }
            }

            Commit();
        }
    }

    internal void End(TransactionHandle handle)
    {
        lock (_gate)
        {
            _openHandleCount--;
            _openCredits -= handle.Credits;
            if (_isBarrierUp && _openHandleCount == 0)
            {
                Monitor.PulseAll(_gate);
            }
        }
    }

    // Order: 1. no new handles, wait for the open ones; 2. counters and checksums into their blocks; 3. a new running
    // transaction, handles go on; 4. wait for the data of the old one; 5. make it durable; 6. release what it held.
    private void CommitRunning()
    {
        ThrowIfAborted();
        Transaction transaction = Seal();
        if (_waitsForData)
        {
            transaction.WaitForData();
        }

        try
        {
            if (!transaction.IsEmpty)
            {
                _target.Write(transaction);
            }
        }
        catch (Exception exception)
        {
            Abort("a commit failed", exception);
            throw;
        }

        foreach (MetadataBlock block in transaction.Blocks)
        {
            Release(block, transaction);
        }

        _released(transaction);
        Volatile.Write(ref _committedId, transaction.Id);
    }

    private Transaction Seal()
    {
        lock (_gate)
        {
            _isBarrierUp = true;
            while (_openHandleCount > 0)
            {
                Monitor.Wait(_gate);
            }
        }

        try
        {
            ThrowIfAborted();
            Transaction transaction = _running;
            if (!transaction.IsEmpty)
            {
                _prepareHandle.Open(transaction, 0);
                _prepare(_prepareHandle);
            }

            Volatile.Write(ref _running, new Transaction(transaction.Id + 1));
            return transaction;
        }
        catch (VDiskException exception) when (!IsAborted)
        {
            Abort("a commit could not be prepared", exception);
            throw;
        }
        finally
        {
            lock (_gate)
            {
                _isBarrierUp = false;
                Monitor.PulseAll(_gate);
            }
        }
    }

    private void Release(MetadataBlock block, Transaction transaction)
    {
        lock (block)
        {
            if (block.FrozenFor == transaction)
            {
                Cache.Pool.Return(block.Frozen);
                block.Frozen = 0;
                block.FrozenFor = null;
            }
            else
            {
                block.Transaction = null;
            }
        }

        block.Dispose();
    }
}
