using System.Buffers.Binary;
using VDiskCrypt.Core;

namespace VDiskCrypt.Ext4.Journal;

/// <summary>
/// What a log holds: reads its transactions from the tail on, checks each whole before it counts, then applies the
/// revocations. A transaction without its commit block, or whose checksums fail, ends the log; if a later one was
/// committed all the same, the log is damaged and nothing may be replayed.
/// </summary>
internal sealed class JournalScan(Journal journal, JournalArea area, Geometry geometry)
{
    private const ushort FastCommitHeadTag = 9;
    private const ushort FastCommitHeadLength = 8;
    private const int FastCommitTidOffset = 8;

    private readonly JournalFormat _format = journal.Format;
    private readonly List<(ulong Block, LoggedBlock Logged)> _blocks = [];
    private readonly Dictionary<ulong, uint> _revoked = [];
    private readonly List<JournalTag> _tags = [];
    private readonly List<ulong> _revokes = [];
    private readonly byte[] _block = new byte[geometry.BlockByteSize];
    private readonly byte[] _content = new byte[geometry.BlockByteSize];
    private uint _position;
    private uint _visited;
    private uint _transactionChecksum;
    private bool _isBlockDamaged;
    private ulong _forbiddenBlock;
    private bool _hasForbiddenBlock;

    private enum Step
    {
        Continue,
        Committed,
        Incomplete,
        ChecksumFailed,
    }

    /// <summary>The first transaction that is not in the log.</summary>
    public uint Sequence { get; private set; }

    /// <summary>The last transaction was committed, but its blocks' checksums fail; it is not replayed.</summary>
    public bool LostLast { get; private set; }

    /// <summary>Passes one (scan) and two (revoke); the third, replay, is the map's use.</summary>
    /// <param name="start">Where the log begins.</param>
    /// <param name="sequence">The transaction there.</param>
    /// <param name="map">Gets the latest version of each block.</param>
    public void Run(uint start, uint sequence, LogMap map)
    {
        _position = start;
        Sequence = sequence;
        while (ReadTransaction())
        {
            Sequence++;
        }

        RefuseFastCommits();
        foreach ((ulong block, LoggedBlock logged) in _blocks)
        {
            if (!_revoked.TryGetValue(block, out uint revoked) || (int)(logged.Sequence - revoked) > 0)
            {
                map.Set(block, logged);
            }
        }
    }

    private bool ReadTransaction()
    {
        int firstBlock = _blocks.Count;
        _revokes.Clear();
        _transactionChecksum = uint.MaxValue;
        _isBlockDamaged = false;
        _hasForbiddenBlock = false;
        Step step = Step.Continue;
        while (step == Step.Continue)
        {
            step = _visited < journal.LogBlockCount ? ReadStep() : Step.Incomplete;
        }

        if (step == Step.Committed)
        {
            return Accept();
        }

        _blocks.RemoveRange(firstBlock, _blocks.Count - firstBlock);
        if (step == Step.ChecksumFailed)
        {
            RefuseIfLaterCommit();
        }

        return false;

        bool Accept()
        {
            if (_isBlockDamaged)
            {
                _blocks.RemoveRange(firstBlock, _blocks.Count - firstBlock);
                RefuseIfLaterCommit();
                LostLast = true;
                return false;
            }

            if (_hasForbiddenBlock)
            {
                throw Bad($"transaction {Sequence} names block {_forbiddenBlock}, which is outside the filesystem or the journal's own");
            }

            foreach (ulong block in _revokes)
            {
                _revoked[block] = Sequence;
            }

            return true;
        }
    }

    private Step ReadStep()
    {
        ReadNext(_block);
        if (!JournalFormat.HasHeader(_block, Sequence))
        {
            return Step.Incomplete;
        }

        switch (JournalFormat.TypeOf(_block))
        {
            case JournalFormat.TypeDescriptor:
                return ReadDescriptor();
            case JournalFormat.TypeRevoke:
                return _format.TailMatches(_block) && _format.ReadRevokes(_block, _revokes) ? Step.Continue : Step.ChecksumFailed;
            case JournalFormat.TypeCommit:
                return _format.CommitMatches(_block, _transactionChecksum) ? Step.Committed : Step.ChecksumFailed;
            default:
                return Step.Incomplete;
        }
    }

    private Step ReadDescriptor()
    {
        if (!_format.TailMatches(_block))
        {
            return Step.ChecksumFailed;
        }

        _format.ReadTags(_block, _tags);
        AddToTransactionChecksum(_block);
        foreach (JournalTag tag in _tags)
        {
            if (_visited >= journal.LogBlockCount)
            {
                return Step.Incomplete;
            }

            uint logBlock = _position;
            if (_format.HasChecksums || _format.HasTransactionChecksum)
            {
                ReadNext(_content);
                _isBlockDamaged |= _format.HasChecksums && _format.BlockChecksum(Sequence, _content) != tag.Checksum;
                AddToTransactionChecksum(_content);
            }
            else
            {
                Advance();
            }

            if (tag.Block < geometry.FirstDataBlock || tag.Block >= geometry.BlockCount || area.Contains(tag.Block))
            {
                _hasForbiddenBlock = true;
                _forbiddenBlock = tag.Block;
            }

            _blocks.Add((tag.Block, new LoggedBlock(logBlock, Sequence, (tag.Flags & JournalTag.FlagEscaped) != 0)));
        }

        return Step.Continue;
    }

    private void AddToTransactionChecksum(ReadOnlySpan<byte> block)
    {
        if (_format.HasTransactionChecksum)
        {
            _transactionChecksum = Crc32BigEndian.Update(_transactionChecksum, block);
        }
    }

    private void ReadNext(Span<byte> destination)
    {
        area.Read(_position, destination);
        Advance();
    }

    private void Advance()
    {
        _position = journal.Next(_position);
        _visited++;
    }

    /// <summary>
    /// A transaction is committed only after the one before it is durable. So a later commit block says that this one was
    /// durable and has been damaged since.
    /// </summary>
    private void RefuseIfLaterCommit()
    {
        for (; _visited < journal.LogBlockCount; Advance())
        {
            area.Read(_position, _content);
            if (_content.AsSpan().Be32(0) == JournalFormat.Magic
                && JournalFormat.TypeOf(_content) == JournalFormat.TypeCommit
                && (int)(JournalFormat.SequenceOf(_content) - Sequence) is > 0 and var ahead && ahead <= journal.LogBlockCount
                && _format.HasChecksums && _format.CommitMatches(_content, 0))
            {
                throw Bad($"transaction {Sequence} is damaged, though later ones were committed");
            }
        }
    }

    private void RefuseFastCommits()
    {
        if ((_format.Features & JournalIncompatibleFeatures.FastCommit) == 0)
        {
            return;
        }

        // NOTE: the kernel leaves the area's first block out (fs/jbd2/journal.c: j_fc_first is j_last + 1).
        area.Read(journal.End + 1, _content);
        ReadOnlySpan<byte> content = _content;
        if (BinaryPrimitives.ReadUInt16LittleEndian(content) == FastCommitHeadTag
            && BinaryPrimitives.ReadUInt16LittleEndian(content[2..]) == FastCommitHeadLength
            && BinaryPrimitives.ReadUInt32LittleEndian(content[FastCommitTidOffset..]) == Sequence)
        {
            throw VDiskException.Unsupported(
                "ext4 journal", "the journal ends with fast commits, which must be replayed first",
                "run e2fsck on it, or mount it once with the kernel's ext4");
        }
    }

    private static VDiskException Bad(string what) => VDiskException.Damaged(
        "ext4 journal", 0, $"the journal cannot be replayed: {what}", "check the filesystem with e2fsck");
}
