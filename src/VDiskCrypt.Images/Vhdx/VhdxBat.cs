using System.Buffers.Binary;
using VDiskCrypt.Core;

namespace VDiskCrypt.Images.Vhdx;

/// <summary>The state of a payload block ([MS-VHDX] 2.5.1.1).</summary>
internal enum PayloadBlockState
{
    NotPresent = 0,
    Undefined = 1,
    Zero = 2,
    Unmapped = 3,
    FullyPresent = 6,
    PartiallyPresent = 7,
}

/// <summary>
/// The block allocation table ([MS-VHDX] 2.5): bits 0 to 2 of an entry are the state, bits 20 to 63 the file offset in
/// MiB. Every entry is checked at open: inside the file, behind the headers, clear of every region and of every other
/// block.
/// </summary>
/// <remarks>
/// NOTE: entries of sector bitmap blocks mean nothing without a parent and are not looked at: QEMU before 8.0 left
/// arbitrary bytes there (its issue 727).
/// </remarks>
internal sealed class VhdxBat
{
    private const ulong StateMask = 7;
    private const ulong ReservedMask = 0xFFFF8;
    private const int OffsetShift = 20;

    /// <summary>Bit n: state n may occur without a parent.</summary>
    private const int KnownStates = 0b0100_1111;
    private const int ReadByteSize = 1 << 20;

    private readonly ulong[] _entries;
    private readonly long _chunkRatio;

    private VhdxBat(ulong[] entries, long chunkRatio)
    {
        _entries = entries;
        _chunkRatio = chunkRatio;
    }

    /// <summary>The first byte behind everything that is in use.</summary>
    public long End { get; private set; }

    public static VhdxBat Read(IHostFile file, VhdxRegionTable regions, VhdxHeader header, VhdxMetadata metadata)
    {
        if (metadata.BatEntryCount * sizeof(ulong) > regions.Bat.ByteSize)
        {
            throw VDiskException.Damaged(
                "VHDX BAT", regions.Bat.ByteOffset,
                $"{metadata.BatEntryCount} entries do not fit the region of {regions.Bat.ByteSize} bytes");
        }

        ulong[] entries = new ulong[metadata.BatEntryCount];
        byte[] bytes = new byte[(int)Math.Min(ReadByteSize, entries.LongLength * sizeof(ulong))];
        for (long done = 0; done < entries.LongLength * sizeof(ulong); done += bytes.Length)
        {
            Span<byte> part = bytes.AsSpan(0, (int)Math.Min(bytes.Length, entries.LongLength * sizeof(ulong) - done));
            file.Read(regions.Bat.ByteOffset + done, part);
            for (int i = 0; i < part.Length; i += sizeof(ulong))
            {
                entries[(done + i) / sizeof(ulong)] = BinaryPrimitives.ReadUInt64LittleEndian(part[i..]);
            }
        }

        var bat = new VhdxBat(entries, metadata.ChunkRatio);
        bat.Check(file.ByteLength, regions, header, metadata);
        return bat;
    }

    /// <summary>The index in the table of a payload block's entry.</summary>
    public long IndexOf(int block) => block + block / _chunkRatio;

    /// <summary>The file offset of the block, 0 where it has none that counts.</summary>
    public long DataOffset(int block)
    {
        ulong entry = Volatile.Read(ref _entries[IndexOf(block)]);
        return (entry & StateMask) == (ulong)PayloadBlockState.FullyPresent
            ? (long)(entry >> OffsetShift) << OffsetShift
            : 0;
    }

    public PayloadBlockState State(int block) =>
        (PayloadBlockState)(Volatile.Read(ref _entries[IndexOf(block)]) & StateMask);

    /// <summary>The entry as it stands on disk.</summary>
    public ulong Entry(int block) => Volatile.Read(ref _entries[IndexOf(block)]);

    public void Set(int block, PayloadBlockState state, long dataOffset) =>
        Volatile.Write(ref _entries[IndexOf(block)], MakeEntry(state, dataOffset));

    public static ulong MakeEntry(PayloadBlockState state, long dataOffset) => (ulong)dataOffset | (ulong)state;

    private void Check(long fileByteLength, VhdxRegionTable regions, VhdxHeader header, VhdxMetadata metadata)
    {
        // Starts of everything in use, each with its end; sorted, no end may pass the next start.
        var starts = new List<long>();
        for (int block = 0; block < metadata.PayloadBlockCount; block++)
        {
            ulong entry = _entries[IndexOf(block)];
            long entryOffset = regions.Bat.ByteOffset + IndexOf(block) * sizeof(ulong);
            var state = (PayloadBlockState)(entry & StateMask);
            if (((KnownStates >> (int)state) & 1) == 0 || (entry & ReservedMask) != 0)
            {
                throw VDiskException.Damaged(
                    "VHDX BAT", entryOffset, $"the entry of block {block}, 0x{entry:X16}, has no meaning in an image without a parent");
            }

            if (state == PayloadBlockState.FullyPresent)
            {
                ulong dataOffset = entry >> OffsetShift << OffsetShift;
                if (dataOffset < (ulong)VhdxFormat.HeaderSectionByteSize)
                {
                    throw VDiskException.Damaged(
                        "VHDX BAT", entryOffset, $"block {block} lies at {dataOffset}, inside the header section");
                }

                if (dataOffset > (ulong)fileByteLength || (ulong)fileByteLength - dataOffset < (ulong)metadata.BlockByteSize)
                {
                    throw VDiskException.Damaged(
                        "VHDX BAT", entryOffset,
                        $"block {block} of {metadata.BlockByteSize} bytes at {dataOffset} reaches behind the end of the file ({fileByteLength})",
                        "the image was cut off: restore it from a copy");
                }

                starts.Add((long)dataOffset);
            }
        }

        starts.Sort();
        CheckOverlaps(starts, regions, header, metadata.BlockByteSize);
        End = Math.Max(
            starts.Count == 0 ? 0 : starts[^1] + metadata.BlockByteSize,
            Math.Max(header.LogOffset + header.LogByteSize, regions.All.Max(region => region.End)));
    }

    private static void CheckOverlaps(List<long> starts, VhdxRegionTable regions, VhdxHeader header, int blockByteSize)
    {
        for (int i = 1; i < starts.Count; i++)
        {
            if (starts[i] - starts[i - 1] < blockByteSize)
            {
                throw VDiskException.Damaged(
                    "VHDX BAT", regions.Bat.ByteOffset, $"two blocks share the bytes from {starts[i]} on");
            }
        }

        VhdxRegion[] fixedRanges = [.. regions.All, new VhdxRegion(Guid.Empty, header.LogOffset, header.LogByteSize, true)];
        foreach (VhdxRegion range in fixedRanges)
        {
            // The first block that ends behind the range's start must begin behind its end.
            int index = starts.BinarySearch(range.ByteOffset - blockByteSize + 1);
            index = index < 0 ? ~index : index;
            if (index < starts.Count && range.ByteSize > 0 && starts[index] < range.End)
            {
                throw VDiskException.Damaged(
                    "VHDX BAT", regions.Bat.ByteOffset,
                    $"a block at {starts[index]} overlaps the region or log at {range.ByteOffset}");
            }
        }
    }
}
