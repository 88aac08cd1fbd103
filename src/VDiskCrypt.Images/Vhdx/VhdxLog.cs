using System.Security.Cryptography;
using VDiskCrypt.Core;

namespace VDiskCrypt.Images.Vhdx;

/// <summary>
/// Writing the log ([MS-VHDX] 2.3): changes of the BAT go into an entry that is durable before the table in the file
/// changes. Used under the image's flush lock.
/// </summary>
internal sealed class VhdxLog
{
    /// <summary>
    /// Sectors per entry: two entries of 121 sectors fit the smallest log, so that writing one never touches the one
    /// before it.
    /// </summary>
    public const int LargestSectorCount = 120;

    private readonly IHostFile _file;
    private readonly VhdxHeaderPair _headers;
    private readonly Guid _id = new(RandomNumberGenerator.GetBytes(16));
    private ulong _sequenceNumber = 1;
    private int _position;

    public VhdxLog(IHostFile file, VhdxHeaderPair headers)
    {
        _file = file;
        _headers = headers;
    }

    /// <summary>
    /// Changes sectors of 4096 bytes of the file, all or none of them. What the caller flushed before (the data that the
    /// new table entries point to, and the sectors of the change before this one) is durable; then:
    /// 1. An entry with the new sectors is written to the log, behind the last one; flush.
    /// 2. With the first entry of this session: both headers get the log's id, each with a flush. Only now is there a
    ///    log to replay, and it has an entry.
    /// 3. The sectors are written to their places. They need no flush: until the next flush, a replay does it again.
    /// The entry's Tail is the entry itself, because all that older ones changed is durable; and a reader that takes
    /// older entries too, as QEMU does, ends with the same bytes.
    /// </summary>
    /// <param name="fileOffsets">Where the sectors go, each a multiple of 4096.</param>
    /// <param name="sectors">Their new contents.</param>
    /// <param name="durableByteLength">
    /// A length that the file is known to have on disk. Not the length that it has now: another thread may just have grown
    /// it, and a reader refuses a log that knows a longer file than there is after a power failure.
    /// </param>
    public void Change(ReadOnlySpan<long> fileOffsets, ReadOnlySpan<byte> sectors, long durableByteLength)
    {
        using AlignedBuffer entry = AlignedBuffer.Rent(VhdxLogEntry.SizeOf(fileOffsets.Length));
        VhdxLogEntry.Build(
            entry.Span, _id, _sequenceNumber, (uint)_position, durableByteLength, fileOffsets, sectors);
        WriteWrapped(entry.Span);
        _file.Flush();
        _sequenceNumber++;
        _position = (_position + entry.Span.Length) % LogByteSize;
        if (_headers.Current.LogId != _id)
        {
            _headers.Update(_headers.Current with { LogId = _id });
        }

        for (int i = 0; i < fileOffsets.Length; i++)
        {
            _file.Write(fileOffsets[i], sectors.Slice(i * VhdxFormat.LogSectorByteSize, VhdxFormat.LogSectorByteSize));
        }
    }

    /// <summary>Marks the log as empty; what it changed is durable.</summary>
    public void Close()
    {
        if (_headers.Current.LogId != Guid.Empty)
        {
            _headers.Update(_headers.Current with { LogId = Guid.Empty });
        }
    }

    private int LogByteSize => (int)_headers.Current.LogByteSize;

    private void WriteWrapped(ReadOnlySpan<byte> entry)
    {
        int untilEnd = Math.Min(entry.Length, LogByteSize - _position);
        _file.Write(_headers.Current.LogOffset + _position, entry[..untilEnd]);
        if (untilEnd < entry.Length)
        {
            _file.Write(_headers.Current.LogOffset, entry[untilEnd..]);
        }
    }
}
