using System.Buffers.Binary;
using System.Security.Cryptography;
using VDiskCrypt.Core;

namespace VDiskCrypt.Images.Vhdx;

/// <summary>
/// A VHDX image without a parent, dynamic or fixed ([MS-VHDX] version 8.0). A dirty log is replayed before anything else
/// is read: into the file where it is writable, into memory otherwise.
/// </summary>
internal sealed partial class VhdxImage : BlockMappedImage
{
    private const int Sector = VhdxFormat.LogSectorByteSize;

    private readonly VhdxHeaderPair _headers;
    private readonly VhdxLog _log;
    private readonly VhdxRegionTable _regions;
    private readonly VhdxBat _bat;
    private long _end;

    /// <summary>The end of what the table on disk refers to, which the file reached durably; under the flush lock.</summary>
    private long _committedEnd;

    private bool _isTailCut;

    private VhdxImage(
        IHostFile file, VhdxHeaderPair headers, VhdxRegionTable regions, VhdxMetadata metadata, VhdxBat bat,
        List<string> notices)
        : base(file, metadata.DiskByteSize, metadata.BlockByteSize, metadata.LogicalSectorByteSize)
    {
        _headers = headers;
        _regions = regions;
        _bat = bat;
        _log = new VhdxLog(file, headers);
        _end = bat.End;
        _committedEnd = bat.End;
        Metadata = metadata;
        Notices.AddRange(notices);
    }

    public VhdxMetadata Metadata { get; }

    public bool IsFixed => Metadata.LeavesBlocksAllocated;

    public static bool IsVhdx(IHostFile file)
    {
        Span<byte> signature = stackalloc byte[8];
        if (file.ByteLength < VhdxFormat.HeaderSectionByteSize)
        {
            return false;
        }

        file.Read(0, signature);
        return BinaryPrimitives.ReadUInt64LittleEndian(signature) == VhdxFormat.FileSignature;
    }

    /// <summary>Opens the image in <paramref name="file"/>, which belongs to the image once this returns.</summary>
    public static VhdxImage Open(IHostFile file)
    {
        if (!IsVhdx(file))
        {
            throw VDiskException.Damaged("VHDX file identifier", 0, "the signature \"vhdxfile\" is missing");
        }

        var notices = new List<string>();
        VhdxHeaderPair headers = VhdxHeaderPair.Read(file, notices);
        VhdxLogReplay.RequireInside(file, headers.Current);
        IReadOnlyList<VhdxLogEntry> sequence = VhdxLogReplay.FindActiveSequence(file, headers.Current, notices);
        IHostFile replayed = file;
        if (sequence.Count > 0)
        {
            // Everything is checked as it will be after the replay, before the replay changes the file.
            var view = new VhdxReplayedView(file);
            VhdxLogReplay.Replay(sequence, view);
            replayed = view;
            notices.Add($"the VHDX log was replayed ({sequence.Count} entries): the image had not been closed");
        }

        VhdxRegionTable regions = VhdxRegionTable.Read(replayed, headers.Current, notices);
        VhdxMetadata metadata = VhdxMetadata.Read(replayed, regions.Metadata);
        VhdxBat bat = VhdxBat.Read(replayed, regions, headers.Current, metadata);
        if (file.IsReadOnly)
        {
            return new VhdxImage(replayed, headers, regions, metadata, bat, notices);
        }

        if (headers.Current.LogId != Guid.Empty)
        {
            ReplayIntoFile(file, headers, sequence);
        }

        return new VhdxImage(file, headers, regions, metadata, bat, notices);
    }

    protected override long DataOffset(int block) => _bat.DataOffset(block);

    protected override void MarkFileWritten()
    {
        if (_headers.Current.LogByteSize == 0)
        {
            throw VDiskException.Unsupported("VHDX header", "an image without a log cannot be changed safely");
        }

        _headers.Update(_headers.Current with { FileWriteId = NewId(), DataWriteId = NewId() });
        _regions.RepairCopy(File);
    }

    protected override long AllocateBlock(int block)
    {
        if (!_isTailCut)
        {
            // Space behind the last block may hold what a crash left there; cut off and grown anew, it reads as zeros.
            if (File.ByteLength > _end)
            {
                File.SetLength(_end);
            }

            _isTailCut = true;
        }

        long dataOffset = _end;
        File.SetLength(dataOffset + MapBlockByteSize);
        _end = dataOffset + MapBlockByteSize;
        _bat.Set(block, PayloadBlockState.FullyPresent, dataOffset);
        return dataOffset;
    }

    protected override bool TryMarkZero(int block)
    {
        if (_bat.State(block) is PayloadBlockState.NotPresent or PayloadBlockState.Zero)
        {
            return false;
        }

        _bat.Set(block, PayloadBlockState.Zero, 0);
        return true;
    }

    /// <summary>
    /// The entries of these blocks become durable through the log, up to <see cref="VhdxLog.LargestSectorCount"/> sectors
    /// of the table at a time. Each sector is the one in the file with these blocks' entries put in: other entries in
    /// memory may belong to blocks whose data is not durable yet.
    /// </summary>
    protected override void CommitBlocks(ReadOnlySpan<int> blocks)
    {
        Span<long> fileOffsets = stackalloc long[VhdxLog.LargestSectorCount];
        using AlignedBuffer sectors = AlignedBuffer.Rent(VhdxLog.LargestSectorCount * Sector);
        int sectorCount = 0;
        foreach (int block in blocks)
        {
            // These blocks were allocated before the flush that precedes this call, so the file reaches their ends on disk.
            _committedEnd = Math.Max(_committedEnd, _bat.DataOffset(block) + MapBlockByteSize);
            long entryOffset = _regions.Bat.ByteOffset + _bat.IndexOf(block) * sizeof(ulong);
            long sectorOffset = entryOffset / Sector * Sector;
            if (sectorCount == 0 || fileOffsets[sectorCount - 1] != sectorOffset)
            {
                if (sectorCount == VhdxLog.LargestSectorCount)
                {
                    _log.Change(fileOffsets, sectors.Span, _committedEnd);

                    // The next entry's Tail is itself: what this one changed has to be durable before.
                    File.Flush();
                    sectorCount = 0;
                }

                fileOffsets[sectorCount] = sectorOffset;
                File.Read(sectorOffset, sectors.Span.Slice(sectorCount * Sector, Sector));
                sectorCount++;
            }

            BinaryPrimitives.WriteUInt64LittleEndian(
                sectors.Span[((sectorCount - 1) * Sector + (int)(entryOffset - sectorOffset))..], _bat.Entry(block));
        }

        _log.Change(fileOffsets[..sectorCount], sectors.Span[..(sectorCount * Sector)], _committedEnd);
    }

    protected override void CloseCleanly()
    {
        File.Flush();
        _log.Close();
    }

    /// <summary>
    /// 1. The headers get a new FileWriteGuid; the log stays named in them ([MS-VHDX] 2.2.2: before log playback, too).
    /// 2. The entries are applied, oldest first; flush. A crash in here replays them again.
    /// 3. The headers say that the log is empty.
    /// </summary>
    private static void ReplayIntoFile(IHostFile file, VhdxHeaderPair headers, IReadOnlyList<VhdxLogEntry> sequence)
    {
        headers.Update(headers.Current with { FileWriteId = NewId() });
        VhdxLogReplay.Replay(sequence, new VhdxFileReplay(file));
        file.Flush();
        headers.Update(headers.Current with { LogId = Guid.Empty });
    }

    private static Guid NewId() => new(RandomNumberGenerator.GetBytes(16));
}
