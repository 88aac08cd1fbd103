using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Cache;
using VDiskCrypt.Ext4.Transactions;

namespace VDiskCrypt.Ext4.Journal;

/// <summary>
/// Commits through the journal. A committed block stays in the log, and in <see cref="Journal.Map"/>, until a checkpoint
/// brings it to its place; memory does not hold it for that. The log is a ring of which <see cref="_usedCount"/> blocks
/// from the tail on are not to be overwritten.
/// </summary>
internal sealed class JournalCommit : CommitTarget
{
    /// <summary>A transaction gets this part of the log at most.</summary>
    private const int TransactionsPerLog = 4;

    /// <summary>A checkpoint is made, when nobody waits for it, once the log is used to this part.</summary>
    private const int TendedPart = 4;

    private const int StagingByteCount = 1 << 20;

    /// <summary>EIO, negative, as the kernel stores it.</summary>
    private const int InputOutputError = -5;

    private readonly Journal _journal;
    private readonly BlockCache _cache;
    private readonly FlushGate _flushes;
    private readonly int _blockByteSize;
    private readonly int _tagsPerDescriptor;
    private readonly List<MetadataBlock> _live = [];
    private readonly List<(ulong Block, LoggedBlock Logged)> _logged = [];
    private readonly JournalTag[] _tags;

    private uint _head;
    private uint _usedCount;
    private uint _sequence;

    /// <param name="journal">Its log is empty.</param>
    /// <param name="cache">The blocks.</param>
    /// <param name="flushes">Flushes of the device.</param>
    public JournalCommit(Journal journal, BlockCache cache, FlushGate flushes)
    {
        _journal = journal;
        _cache = cache;
        _flushes = flushes;
        _blockByteSize = cache.BlockByteSize;
        _head = journal.First;
        _sequence = journal.NextSequence;
        _tagsPerDescriptor = Math.Min(journal.Format.TagsPerDescriptor, Math.Max(StagingByteCount / _blockByteSize - 1, 1));
        _tags = new JournalTag[_tagsPerDescriptor];
        MaximumTransactionBlockCount = (int)Math.Min((uint)cache.BlockLimit / 2, journal.LogBlockCount / TransactionsPerLog);
    }

    public override int MaximumTransactionBlockCount { get; }

    // Order: 1. data went to the device before (the log waited for it in ordered mode); 2. room in the log, by a
    // checkpoint if need be; 3. where the log was empty, its superblock says where it begins; 4. revoke blocks,
    // descriptors, blocks; 5. flush: data, superblock and log are durable; 6. the commit block, durable on return: now the
    // transaction happened; 7. the map: from here on the blocks' committed versions are these, and no checkpoint touches a
    // block that was freed.
    public override void Write(Transaction transaction)
    {
        Collect(transaction);
        List<ulong> revokes = transaction.RevokedBlocks;
        uint needed = RequiredBlockCount(_live.Count, revokes.Count);
        MakeRoom(needed);
        if (_journal.IsEmpty)
        {
            _journal.StoreTail(_head, _sequence, forceUnitAccess: false);
        }

        using (AlignedBuffer staging = AlignedBuffer.Rent(StagingByteCount))
        {
            WriteRevokes(revokes, staging.Span);
            WriteBlocks(transaction, staging.Span);
            _flushes.Flush();
            _journal.Format.WriteCommit(staging.Span[.._blockByteSize], _sequence, UnixTime.Now);
            _journal.WriteLog(_head, staging.Span[.._blockByteSize], forceUnitAccess: true);
            _head = _journal.Next(_head);
        }

        UpdateMap(revokes);
        _usedCount += needed;
        _sequence++;
    }

    public override void Tend()
    {
        if (_usedCount > _journal.LogBlockCount / TendedPart)
        {
            Checkpoint();
        }
    }

    // Order: 1. checkpoint; 2. the journal's superblock says that the log is empty, durable. The filesystem's superblock
    // still says that recovery is needed: it finds an empty log.
    public override void Close()
    {
        Checkpoint();
        _journal.StoreTail(0, _sequence, forceUnitAccess: true);
    }

    public override void Abandon()
    {
        try
        {
            _journal.StoreError(InputOutputError);
        }
        catch (VDiskException)
        {
            // The device that failed us fails again. What is committed is replayed at the next opening all the same.
        }
    }

    private uint RequiredBlockCount(int blockCount, int revokeCount)
    {
        JournalFormat format = _journal.Format;
        int descriptors = (blockCount + _tagsPerDescriptor - 1) / _tagsPerDescriptor;
        int revokes = (revokeCount + format.NumbersPerRevoke - 1) / format.NumbersPerRevoke;
        return (uint)(blockCount + descriptors + revokes + 1);
    }

    private void Collect(Transaction transaction)
    {
        _live.Clear();
        _logged.Clear();
        foreach (MetadataBlock block in transaction.Blocks)
        {
            if (block.ForgottenIn != transaction)
            {
                _live.Add(block);
            }
        }
    }

    private void MakeRoom(uint needed)
    {
        uint usable = _journal.LogBlockCount - 1;
        if (needed > usable)
        {
            throw new VDiskException(
                FailureKind.Internal, $"a transaction of {needed} blocks is larger than the journal ({usable})", "ext4 journal");
        }

        if (needed > usable - _usedCount)
        {
            Checkpoint();
        }
    }

    // Order: 1. every block of the map to its place; 2. flush; 3. the map is empty, readers go to the places; 4. the
    // journal's superblock says that the log begins at its head, durable; only then may the log be overwritten.
    private void Checkpoint()
    {
        if (_usedCount == 0)
        {
            return;
        }

        _journal.WriteInPlace(_cache);
        _flushes.Flush();
        _journal.Map.Clear();
        _journal.StoreTail(_head, _sequence, forceUnitAccess: true);
        _usedCount = 0;
    }

    private void WriteRevokes(List<ulong> revokes, Span<byte> staging)
    {
        Span<byte> block = staging[.._blockByteSize];
        var numbers = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(revokes);
        while (!numbers.IsEmpty)
        {
            int count = Math.Min(numbers.Length, _journal.Format.NumbersPerRevoke);
            _journal.Format.WriteRevokes(block, _sequence, numbers[..count]);
            Append(block);
            numbers = numbers[count..];
        }
    }

    private void WriteBlocks(Transaction transaction, Span<byte> staging)
    {
        for (int done = 0; done < _live.Count;)
        {
            int count = Math.Min(_live.Count - done, _tagsPerDescriptor);
            for (int i = 0; i < count; i++)
            {
                Span<byte> place = staging.Slice((i + 1) * _blockByteSize, _blockByteSize);
                _tags[i] = Stage(_live[done + i], transaction, place, _journal.Next(_head, (uint)i + 1));
            }

            _journal.Format.WriteDescriptor(staging[.._blockByteSize], _sequence, _tags.AsSpan(0, count));
            Append(staging[..((count + 1) * _blockByteSize)]);
            done += count;
        }
    }

    /// <summary>Copies a block as it goes into the log.</summary>
    private JournalTag Stage(MetadataBlock block, Transaction transaction, Span<byte> place, uint logBlock)
    {
        TransactionLog.CopyCommitted(block, transaction, place);
        bool isEscaped = place.Be32(0) == JournalFormat.Magic;
        if (isEscaped)
        {
            place.SetBe32(0, 0);
        }

        _logged.Add((block.Number, new LoggedBlock(logBlock, _sequence, isEscaped)));
        uint checksum = _journal.Format.HasChecksums ? _journal.Format.BlockChecksum(_sequence, place) : 0;
        return new JournalTag(block.Number, isEscaped ? JournalTag.FlagEscaped : 0, checksum);
    }

    /// <summary>Writes blocks at the head of the log, around its end if need be.</summary>
    private void Append(ReadOnlySpan<byte> blocks)
    {
        var count = (uint)(blocks.Length / _blockByteSize);
        uint untilEnd = Math.Min(count, _journal.End - _head);
        int split = (int)untilEnd * _blockByteSize;
        _journal.WriteLog(_head, blocks[..split]);
        if (split < blocks.Length)
        {
            _journal.WriteLog(_journal.First, blocks[split..]);
        }

        _head = _journal.Next(_head, count);
    }

    private void UpdateMap(List<ulong> revokes)
    {
        foreach (ulong block in revokes)
        {
            _journal.Map.Remove(block);
        }

        foreach ((ulong block, LoggedBlock logged) in _logged)
        {
            _journal.Map.Set(block, logged);
        }
    }
}
