using System.Buffers.Binary;
using VDiskCrypt.Core;

namespace VDiskCrypt.Images.Vhd;

/// <summary>
/// The block allocation table ([VHD] "Block Allocation Table and Data Blocks"): for each block the sector number of its
/// bitmap, behind which its data lies, or all ones. Every entry is checked at open: inside the file, clear of the
/// headers, the table and every other block.
/// </summary>
internal sealed class VhdBat
{
    private const uint Unused = uint.MaxValue;
    private const int SectorByteSize = 512;
    private const int ReadByteSize = 1 << 20;

    private readonly uint[] _entries;
    private readonly int _bitmapByteSize;

    private VhdBat(uint[] entries, int bitmapByteSize)
    {
        _entries = entries;
        _bitmapByteSize = bitmapByteSize;
    }

    /// <summary>The first byte behind everything that is in use, without the footer.</summary>
    public long End { get; private set; }

    public static VhdBat Read(IHostFile file, VhdDynamicHeader header, int bitmapByteSize)
    {
        uint[] entries = new uint[header.TableEntryCount];
        byte[] bytes = new byte[(int)Math.Min(ReadByteSize, entries.LongLength * sizeof(uint))];
        for (int done = 0; done < entries.Length; done += bytes.Length / sizeof(uint))
        {
            Span<byte> part = bytes.AsSpan(0, Math.Min(bytes.Length, (entries.Length - done) * sizeof(uint)));
            file.Read(header.TableOffset + (long)done * sizeof(uint), part);
            for (int i = 0; i < part.Length; i += sizeof(uint))
            {
                entries[done + i / sizeof(uint)] = BinaryPrimitives.ReadUInt32BigEndian(part[i..]);
            }
        }

        var bat = new VhdBat(entries, bitmapByteSize);
        bat.Check(file.ByteLength, header);
        return bat;
    }

    public uint Entry(int block) => Volatile.Read(ref _entries[block]);

    /// <summary>The file offset of the block's bitmap, 0 where it has no place.</summary>
    public long BitmapOffset(int block)
    {
        uint entry = Entry(block);
        return entry == Unused ? 0 : (long)entry * SectorByteSize;
    }

    /// <summary>The file offset of the block's data, 0 where it has no place.</summary>
    public long DataOffset(int block)
    {
        long bitmapOffset = BitmapOffset(block);
        return bitmapOffset == 0 ? 0 : bitmapOffset + _bitmapByteSize;
    }

    public void Set(int block, long bitmapOffset) =>
        Volatile.Write(ref _entries[block], checked((uint)(bitmapOffset / SectorByteSize)));

    private void Check(long fileByteLength, VhdDynamicHeader header)
    {
        var starts = new List<long>();
        long blockEnd = (long)_bitmapByteSize + header.BlockByteSize;
        for (int block = 0; block < _entries.Length; block++)
        {
            if (_entries[block] == Unused)
            {
                continue;
            }

            long start = (long)_entries[block] * SectorByteSize;
            long entryOffset = header.TableOffset + (long)block * sizeof(uint);
            if (start > fileByteLength - blockEnd)
            {
                throw VDiskException.Damaged(
                    "VHD BAT", entryOffset,
                    $"block {block} of {blockEnd} bytes at {start} reaches behind the end of the file ({fileByteLength})",
                    "the image was cut off: restore it from a copy");
            }

            if (Overlaps(start, blockEnd, 0, VhdFooter.ByteSize) ||
                Overlaps(start, blockEnd, header.ByteOffset, VhdDynamicHeader.ByteSize) ||
                Overlaps(start, blockEnd, header.TableOffset, header.TableEnd - header.TableOffset))
            {
                throw VDiskException.Damaged(
                    "VHD BAT", entryOffset, $"block {block} lies at {start}, over the headers or the table");
            }

            starts.Add(start);
        }

        starts.Sort();
        for (int i = 1; i < starts.Count; i++)
        {
            if (starts[i] - starts[i - 1] < blockEnd)
            {
                throw VDiskException.Damaged("VHD BAT", header.TableOffset, $"two blocks share the bytes from {starts[i]} on");
            }
        }

        End = Math.Max(
            starts.Count == 0 ? 0 : starts[^1] + blockEnd,
            Math.Max(header.TableEnd, header.ByteOffset + VhdDynamicHeader.ByteSize));
    }

    private static bool Overlaps(long start, long byteCount, long otherStart, long otherByteCount) =>
        start < otherStart + otherByteCount && otherStart < start + byteCount;
}
