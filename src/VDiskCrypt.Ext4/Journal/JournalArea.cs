using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Formatting;

namespace VDiskCrypt.Ext4.Journal;

/// <summary>The journal's blocks by their number in the journal, wherever on the device they lie.</summary>
internal sealed class JournalArea
{
    private readonly IBlockDevice _device;
    private readonly BlockRange[] _ranges;
    private readonly uint[] _firsts;
    private readonly int _blockByteSize;

    /// <param name="device">The device of the filesystem.</param>
    /// <param name="ranges">Where the journal lies, in its own order.</param>
    /// <param name="blockByteSize">The filesystem's and journal's.</param>
    public JournalArea(IBlockDevice device, BlockRange[] ranges, int blockByteSize)
    {
        _device = device;
        _ranges = ranges;
        _blockByteSize = blockByteSize;
        _firsts = new uint[ranges.Length];
        for (int i = 0; i < ranges.Length; i++)
        {
            _firsts[i] = BlockCount;
            BlockCount = checked(BlockCount + (uint)ranges[i].Count);
        }
    }

    public uint BlockCount { get; }

    /// <summary>Whether a block of the filesystem belongs to the journal.</summary>
    public bool Contains(ulong physical)
    {
        foreach (BlockRange range in _ranges)
        {
            if (physical - range.Start < range.Count)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Reads whole blocks, consecutive in the journal.</summary>
    public void Read(uint first, Span<byte> destination)
    {
        for (int done = 0; done < destination.Length;)
        {
            (long byteOffset, int count) = Locate(first + (uint)(done / _blockByteSize), destination.Length - done);
            _device.Read(byteOffset, destination.Slice(done, count));
            done += count;
        }
    }

    /// <summary>Writes whole blocks, or the start of one, consecutive in the journal.</summary>
    public void Write(uint first, ReadOnlySpan<byte> source, bool forceUnitAccess = false)
    {
        for (int done = 0; done < source.Length;)
        {
            (long byteOffset, int count) = Locate(first + (uint)(done / _blockByteSize), source.Length - done);
            _device.Write(byteOffset, source.Slice(done, count), forceUnitAccess);
            done += count;
        }
    }

    private (long ByteOffset, int ByteCount) Locate(uint block, int byteCount)
    {
        int index = Array.BinarySearch(_firsts, block);
        index = index < 0 ? ~index - 1 : index;
        ulong within = block - _firsts[index];
        if (within >= _ranges[index].Count)
        {
            throw new VDiskException(FailureKind.Internal, $"block {block} lies behind the end of the journal");
        }

        long rest = (long)(_ranges[index].Count - within) * _blockByteSize;
        return ((long)(_ranges[index].Start + within) * _blockByteSize, (int)Math.Min(byteCount, rest));
    }
}
