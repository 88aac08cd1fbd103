using VDiskCrypt.Core;

namespace VDiskCrypt.Images.Vhdx;

/// <summary>
/// Reading the log at open ([MS-VHDX] 2.3.2, 2.3.3): the active sequence is the run of valid entries with consecutive
/// numbers whose last entry has the highest number in the log; it begins where that entry's Tail says.
/// </summary>
internal static class VhdxLogReplay
{
    private const int Sector = VhdxFormat.LogSectorByteSize;

    /// <summary>What no file can be behind: beyond the largest disk with all its tables.</summary>
    private const long LargestFileByteLength = VhdxFormat.LargestDiskByteSize + (1L << 40);

    /// <summary>Refuses a log outside the file, in use or not: what is written next would go there.</summary>
    public static void RequireInside(IHostFile file, VhdxHeader header)
    {
        if (header.LogOffset > file.ByteLength - header.LogByteSize)
        {
            throw VDiskException.Damaged(
                "VHDX log", header.LogOffset, $"the log reaches behind the end of the file ({file.ByteLength})",
                "the image was cut off: restore it from a copy");
        }
    }

    /// <summary>The entries to replay, oldest first; empty where there is nothing.</summary>
    public static IReadOnlyList<VhdxLogEntry> FindActiveSequence(IHostFile file, VhdxHeader header, List<string> notices)
    {
        if (header.LogId == Guid.Empty)
        {
            return [];
        }

        int logByteSize = (int)header.LogByteSize;
        byte[] log = new byte[logByteSize];
        file.Read(header.LogOffset, log);
        Dictionary<int, VhdxLogEntry> entries = ReadEntries(log, header.LogId);
        List<VhdxLogEntry> active = FindActive(entries, logByteSize);
        if (active.Count == 0)
        {
            // NOTE: [MS-VHDX] 2.3.3 takes this for a damaged file. QEMU puts the log's id into the headers before it
            // writes the first entry, so a crash between the two leaves exactly this, with nothing to replay: a table
            // in the file changes only after its entry is durable.
            notices.Add("the VHDX log is marked as in use but holds no valid entry; nothing was replayed");
        }

        foreach (VhdxLogEntry entry in active)
        {
            Check(entry, file.ByteLength, header.LogOffset);
        }

        return active;
    }

    /// <summary>Applies the sequence and grows the target as the last entry says.</summary>
    public static void Replay(IReadOnlyList<VhdxLogEntry> sequence, IVhdxReplayTarget target)
    {
        foreach (VhdxLogEntry entry in sequence)
        {
            target.Grow((long)entry.LastFileOffset);
            entry.ApplyTo(target);
        }
    }

    private static Dictionary<int, VhdxLogEntry> ReadEntries(byte[] log, Guid logId)
    {
        var entries = new Dictionary<int, VhdxLogEntry>();

        // The sum of what overlapping claims may make us copy is bounded, or a hostile log costs its size squared.
        long budget = 8L * log.Length;
        for (int position = 0; position < log.Length && budget > 0; position += Sector)
        {
            int byteSize = VhdxLogEntry.ClaimedByteSize(log.AsSpan(position, Sector), logId, log.Length);
            if (byteSize != 0)
            {
                budget -= byteSize;
                if (VhdxLogEntry.Parse(CopyWrapped(log, position, byteSize)) is VhdxLogEntry entry)
                {
                    entries.Add(position, entry);
                }
            }
        }

        return entries;
    }

    private static byte[] CopyWrapped(byte[] log, int position, int byteSize)
    {
        byte[] bytes = new byte[byteSize];
        int untilEnd = Math.Min(byteSize, log.Length - position);
        log.AsSpan(position, untilEnd).CopyTo(bytes);
        log.AsSpan(0, byteSize - untilEnd).CopyTo(bytes.AsSpan(untilEnd));
        return bytes;
    }

    private static List<VhdxLogEntry> FindActive(Dictionary<int, VhdxLogEntry> entries, int logByteSize)
    {
        // Highest number first: the first whose sequence is whole is the head of the active one.
        foreach ((int headPosition, VhdxLogEntry head) in entries.OrderByDescending(pair => pair.Value.SequenceNumber))
        {
            var sequence = new List<VhdxLogEntry>();
            int position = (int)Math.Min(head.Tail, int.MaxValue);
            while (sequence.Count <= entries.Count && entries.TryGetValue(position, out VhdxLogEntry? entry) &&
                (sequence.Count == 0 || entry.SequenceNumber == sequence[^1].SequenceNumber + 1))
            {
                sequence.Add(entry);
                if (position == headPosition)
                {
                    return sequence;
                }

                position = (int)(((long)position + entry.ByteSize) % logByteSize);
            }
        }

        return [];
    }

    private static void Check(VhdxLogEntry entry, long fileByteLength, long logOffset)
    {
        if (entry.FlushedFileOffset > (ulong)fileByteLength)
        {
            throw VDiskException.Damaged(
                "VHDX log", logOffset,
                $"the log knows the file as {entry.FlushedFileOffset} bytes long, and it has {fileByteLength}",
                "the image was cut off: restore it from a copy");
        }

        if (entry.LastFileOffset > (ulong)LargestFileByteLength)
        {
            throw VDiskException.Damaged("VHDX log", logOffset, $"the log wants a file of {entry.LastFileOffset} bytes");
        }

        entry.ApplyTo(new BoundsCheck(Math.Max(fileByteLength, (long)entry.LastFileOffset), logOffset));
    }

    /// <summary>Looks at every target of an entry before the first byte of any is changed.</summary>
    private sealed class BoundsCheck(long fileByteLength, long logOffset) : IVhdxReplayTarget
    {
        public void WriteSector(long fileOffset, ReadOnlySpan<byte> sector) => Zero(fileOffset, sector.Length);

        public void Zero(long fileOffset, long byteCount)
        {
            if (fileOffset < VhdxFormat.FirstRegionTableOffset || fileOffset % Sector != 0 || byteCount < 0 ||
                byteCount % Sector != 0 || byteCount > fileByteLength || fileOffset > fileByteLength - byteCount)
            {
                throw VDiskException.Damaged(
                    "VHDX log", logOffset, $"an entry changes {byteCount} bytes at {fileOffset}, where the log may not reach");
            }
        }

        public void Grow(long fileByteLength)
        {
        }
    }
}
