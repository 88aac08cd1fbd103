using VDiskCrypt.Ext4.Cache;

namespace VDiskCrypt.Ext4.Transactions;

/// <summary>
/// Where committed transactions go: in place, or through a journal. Called by one thread at a time, in the order of
/// transactions. During <see cref="Write"/> the transaction's version of each block is what
/// <see cref="TransactionLog.CopyCommitted"/> gives, as often as it is asked for.
/// </summary>
internal abstract class CommitTarget
{
    /// <summary>The most blocks that one transaction may change.</summary>
    public abstract int MaximumTransactionBlockCount { get; }

    /// <summary>Makes the transaction durable.</summary>
    public abstract void Write(Transaction transaction);

    /// <summary>Prepares for what comes while nobody waits.</summary>
    public abstract void Tend();

    /// <summary>Leaves the device so that nothing but the filesystem itself is needed; no transaction follows.</summary>
    public abstract void Close();

    /// <summary>Nothing is committed any more; leaves a note of that where the next opening looks.</summary>
    public abstract void Abandon();
}
