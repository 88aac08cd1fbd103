using VDiskCrypt.Core;

namespace VDiskCrypt.Images.Vhd;

/// <summary>
/// Block bitmaps ([VHD] "Data Blocks"): one bit per sector, most significant first, 0 for a sector never written, which
/// reads as zeros whatever lies there. Blocks that are made here have all bits set; one of another writer is completed
/// before its first write.
/// </summary>
internal sealed partial class VhdDynamicImage
{
    private const byte BitmapUnknown = 0;
    private const byte BitmapFull = 1;
    private const byte BitmapPartial = 2;

    private readonly int _bitmapByteSize;
    private readonly byte[] _bitmapStates;

    /// <summary>Guards the completion of a bitmap; rare, so the flush inside is no matter.</summary>
    private readonly Lock _bitmapCompletion = new();

    protected override void ReadPlaced(int block, long dataOffset, int within, Span<byte> destination)
    {
        if (BitmapState(block) == BitmapFull)
        {
            File.Read(dataOffset + within, destination);
            return;
        }

        using AlignedBuffer bitmap = AlignedBuffer.Rent(_bitmapByteSize);
        File.Read(_bat.BitmapOffset(block), bitmap.Span);
        int end = within + destination.Length;
        for (int position = within; position < end;)
        {
            bool isUsed = IsUsed(bitmap.Span, position / Sector);
            int runEnd = position / Sector * Sector + Sector;
            while (runEnd < end && IsUsed(bitmap.Span, runEnd / Sector) == isUsed)
            {
                runEnd += Sector;
            }

            Span<byte> run = destination[(position - within)..(Math.Min(runEnd, end) - within)];
            if (isUsed)
            {
                File.Read(dataOffset + position, run);
            }
            else
            {
                run.Clear();
            }

            position = runEnd;
        }
    }

    protected override void PreparePlaced(int block)
    {
        if (BitmapState(block) == BitmapFull)
        {
            return;
        }

        lock (_bitmapCompletion)
        {
            if (Volatile.Read(ref _bitmapStates[block]) != BitmapFull)
            {
                CompleteBitmap(block);
            }
        }
    }

    /// <summary>
    /// 1. Sectors whose bit is 0 are zeroed; flush.
    /// 2. The bitmap is written with all bits set. It is durable with the next flush, before which no write into the
    ///    block counts as durable either.
    /// </summary>
    private void CompleteBitmap(int block)
    {
        using AlignedBuffer bitmap = AlignedBuffer.Rent(_bitmapByteSize);
        long bitmapOffset = _bat.BitmapOffset(block);
        File.Read(bitmapOffset, bitmap.Span);
        int sectorCount = MapBlockByteSize / Sector;
        for (int sector = 0; sector < sectorCount;)
        {
            int runEnd = sector;
            while (runEnd < sectorCount && !IsUsed(bitmap.Span, runEnd))
            {
                runEnd++;
            }

            if (runEnd > sector)
            {
                File.ZeroRange(bitmapOffset + _bitmapByteSize + (long)sector * Sector, (long)(runEnd - sector) * Sector);
            }

            sector = runEnd + 1;
        }

        File.Flush();
        WriteFullBitmap(bitmapOffset);
        Volatile.Write(ref _bitmapStates[block], BitmapFull);
    }

    private byte BitmapState(int block)
    {
        byte state = Volatile.Read(ref _bitmapStates[block]);
        if (state != BitmapUnknown)
        {
            return state;
        }

        using AlignedBuffer bitmap = AlignedBuffer.Rent(_bitmapByteSize);
        File.Read(_bat.BitmapOffset(block), bitmap.Span);

        // Bits behind the end of the disk, and the padding of the bitmap to a sector, say nothing.
        long byteCount = Math.Min(MapBlockByteSize, ByteLength - (long)block * MapBlockByteSize);
        bool isFull = true;
        for (int sector = 0; sector < byteCount / Sector && isFull; sector++)
        {
            isFull = IsUsed(bitmap.Span, sector);
        }

        // Another thread may have completed the bitmap meanwhile: full stays full.
        byte found = isFull ? BitmapFull : BitmapPartial;
        byte before = Interlocked.CompareExchange(ref _bitmapStates[block], found, BitmapUnknown);
        return before == BitmapUnknown ? found : before;
    }

    private void WriteFullBitmap(long bitmapOffset)
    {
        using AlignedBuffer bitmap = AlignedBuffer.Rent(_bitmapByteSize);
        bitmap.Span.Fill(0xFF);
        File.Write(bitmapOffset, bitmap.Span);
    }

    private static bool IsUsed(ReadOnlySpan<byte> bitmap, int sector) => (bitmap[sector >> 3] & (0x80 >> (sector & 7))) != 0;

    private static int BitmapByteSize(int blockByteSize) => (blockByteSize / Sector / 8 + Sector - 1) / Sector * Sector;
}
