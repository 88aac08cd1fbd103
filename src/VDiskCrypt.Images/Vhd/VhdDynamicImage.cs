using System.Buffers.Binary;
using VDiskCrypt.Core;

namespace VDiskCrypt.Images.Vhd;

/// <summary>
/// A dynamic VHD ("Virtual Hard Disk Image Format Specification" 1.0): copy of the footer, dynamic disk header, BAT,
/// blocks each with a bitmap in front, footer.
/// </summary>
internal sealed partial class VhdDynamicImage : BlockMappedImage
{
    private const int Sector = 512;

    /// <summary>Where the data of new blocks begins is a multiple of this, so that the host's pages fit the disk's.</summary>
    private const int DataAlignment = 4096;

    private readonly VhdFooterPair _footers;
    private readonly VhdDynamicHeader _header;
    private readonly VhdBat _bat;
    private long _end;
    private bool _isTailCut;

    private VhdDynamicImage(
        IHostFile file, VhdFooterPair footers, VhdDynamicHeader header, VhdBat bat, List<string> notices)
        : base(file, (long)footers.Footer.DiskByteSize, header.BlockByteSize, Sector)
    {
        _footers = footers;
        _header = header;
        _bat = bat;
        _bitmapByteSize = BitmapByteSize(header.BlockByteSize);
        _bitmapStates = new byte[header.TableEntryCount];
        _end = bat.End;
        Notices.AddRange(notices);
    }

    /// <summary>Opens the image in <paramref name="file"/>, which belongs to the image once this returns.</summary>
    public static VhdDynamicImage Open(IHostFile file, VhdFooterPair footers, List<string> notices)
    {
        VhdFooter footer = footers.Footer;
        if (footer.DiskByteSize is 0 or > VhdFooter.LargestDynamicDiskByteSize || footer.DiskByteSize % Sector != 0)
        {
            throw VDiskException.Damaged(
                "VHD footer", 48, $"a disk of {footer.DiskByteSize} bytes is no whole number of sectors up to 2040 GiB");
        }

        VhdDynamicHeader header = VhdDynamicHeader.Read(file, footer);
        VhdBat bat = VhdBat.Read(file, header, BitmapByteSize(header.BlockByteSize));
        return new VhdDynamicImage(file, footers, header, bat, notices);
    }

    protected override long DataOffset(int block) => _bat.DataOffset(block);

    /// <summary>
    /// A copy of the footer that was found damaged is written again before anything else changes, the one at byte 0
    /// first: growing the file overwrites the other.
    /// </summary>
    protected override void MarkFileWritten()
    {
        if (_footers.LeadingIsDamaged)
        {
            File.Write(0, _footers.Footer.Bytes.Span);
            File.Flush();
        }

        if (_footers.TrailingByteSize != VhdFooter.ByteSize)
        {
            CutTail();
            File.Write(_end, _footers.Footer.Bytes.Span);
            File.Flush();
        }
    }

    /// <summary>
    /// Takes room for a block, in an order that leaves a whole footer at the end of the file at any moment, as long as
    /// the host keeps the order; where power fails and it does not, the copy at byte 0 stands in:
    /// 1. Once: the file is cut behind the last block in use, if it is longer than that and a footer; what a crash left
    ///    there would show through as the new block's contents.
    /// 2. The footer is written at the new end: the file has grown, all between reads as zeros.
    /// 3. The block's bitmap is written with all sectors in use, over the old footer or behind it.
    /// </summary>
    protected override long AllocateBlock(int block)
    {
        if (!_isTailCut && File.ByteLength > _end + VhdFooter.ByteSize)
        {
            CutTail();
        }

        _isTailCut = true;
        long dataOffset = (_end + _bitmapByteSize + DataAlignment - 1) / DataAlignment * DataAlignment;
        long blockEnd = dataOffset + MapBlockByteSize;
        File.Write(blockEnd, _footers.Footer.Bytes.Span);
        WriteFullBitmap(dataOffset - _bitmapByteSize);
        _end = blockEnd;
        Volatile.Write(ref _bitmapStates[block], BitmapFull);
        _bat.Set(block, dataOffset - _bitmapByteSize);
        return dataOffset;
    }

    /// <summary>
    /// 1. The sectors of the BAT that hold these blocks' entries are read, changed in these entries only (others in
    ///    memory may belong to blocks whose data is not durable yet), and written. A torn table sector is one with some
    ///    entries old and some new, each of which is valid.
    /// 2. The file is flushed.
    /// </summary>
    protected override void CommitBlocks(ReadOnlySpan<int> blocks)
    {
        Span<byte> sector = stackalloc byte[Sector];
        long loaded = -1;
        foreach (int block in blocks)
        {
            long entryOffset = _header.TableOffset + (long)block * sizeof(uint);
            long sectorOffset = entryOffset / Sector * Sector;
            if (sectorOffset != loaded)
            {
                if (loaded >= 0)
                {
                    File.Write(loaded, sector);
                }

                File.Read(sectorOffset, sector);
                loaded = sectorOffset;
            }

            BinaryPrimitives.WriteUInt32BigEndian(sector[(int)(entryOffset - sectorOffset)..], _bat.Entry(block));
        }

        File.Write(loaded, sector);
        File.Flush();
    }

    private void CutTail()
    {
        File.SetLength(_end);
        _isTailCut = true;
    }
}
