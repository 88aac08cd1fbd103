using VDiskCrypt.Ext4.OnDisk;

namespace VDiskCrypt.Ext4.Attributes;

/// <summary>
/// The entries and values of one place, for reading. <see cref="FindDefect"/> comes first: the other members trust what
/// it accepted.
/// </summary>
/// <param name="bytes">What value offsets count from; the end is the end of the space.</param>
/// <param name="first">Where the list of entries begins; 0 in an empty area.</param>
internal readonly ref struct AttributeArea(ReadOnlySpan<byte> bytes, int first)
{
    private const int BitsPerWord = 64;
    private const int CellByteLength = 4;

    private readonly ReadOnlySpan<byte> _bytes = bytes;

    /// <summary>Where <see cref="TryRead"/> starts.</summary>
    public int First { get; } = first;

    /// <summary>The attributes in an inode; nothing where there is no magic number.</summary>
    public static AttributeArea OfBody(ReadOnlySpan<byte> space) =>
        space.Length >= AttributeFormat.BodyHeaderByteLength + AttributeFormat.EndByteLength
        && space.U32(0) == AttributeFormat.Magic
            ? new AttributeArea(space[AttributeFormat.BodyHeaderByteLength..], 0)
            : default;

    /// <summary>The attributes in a block.</summary>
    public static AttributeArea OfBlock(ReadOnlySpan<byte> block) => new(block, AttributeFormat.BlockHeaderByteLength);

    /// <summary>The next entry, if there is one.</summary>
    public bool TryRead(scoped ref int position, out AttributeEntry entry)
    {
        if (_bytes.IsEmpty || _bytes.U32(position) == 0)
        {
            entry = default;
            return false;
        }

        ReadOnlySpan<byte> raw = _bytes[position..];
        int nameLength = raw[AttributeFormat.NameLengthOffset];
        var size = (int)raw.U32(AttributeFormat.ValueSizeOffset);
        ReadOnlySpan<byte> value = size == 0 ? [] : _bytes.Slice(raw.U16(AttributeFormat.ValueOffsetOffset), size);
        entry = new AttributeEntry(
            raw[AttributeFormat.NameIndexOffset], raw.Slice(AttributeFormat.NameOffset, nameLength), value);
        position += AttributeFormat.EntryByteLength(nameLength);
        return true;
    }

    public bool TryFind(byte index, ReadOnlySpan<byte> name, out ReadOnlySpan<byte> value)
    {
        int position = First;
        while (TryRead(ref position, out AttributeEntry entry))
        {
            if (entry.Index == index && entry.Name.SequenceEqual(name))
            {
                value = entry.Value;
                return true;
            }
        }

        value = default;
        return false;
    }

    /// <summary>What contradicts the format; null when the area is sound.</summary>
    public string? FindDefect()
    {
        if (_bytes.IsEmpty)
        {
            return null;
        }

        string? defect = FindEnd(out int end);
        return defect ?? CheckValues(end + AttributeFormat.EndByteLength);
    }

    private string? FindEnd(out int end)
    {
        end = First;
        int last = _bytes.Length - AttributeFormat.EndByteLength;
        while (true)
        {
            if (end > last)
            {
                return "the list of attributes has no end";
            }

            if (_bytes.U32(end) == 0)
            {
                return null;
            }

            int nameLength = _bytes[end + AttributeFormat.NameLengthOffset];
            int next = end + AttributeFormat.EntryByteLength(nameLength);
            if (next > last)
            {
                return "an attribute's entry reaches beyond the space";
            }

            if (_bytes.Slice(end + AttributeFormat.NameOffset, nameLength).Contains((byte)0))
            {
                return "an attribute's name holds a zero byte";
            }

            end = next;
        }
    }

    private string? CheckValues(int valuesStart)
    {
        Span<ulong> used = stackalloc ulong[_bytes.Length / CellByteLength / BitsPerWord + 1];
        used.Clear();
        for (int position = First; _bytes.U32(position) != 0;)
        {
            ReadOnlySpan<byte> raw = _bytes[position..];
            position += AttributeFormat.EntryByteLength(raw[AttributeFormat.NameLengthOffset]);
            if (raw.U32(AttributeFormat.ValueInodeOffset) != 0)
            {
                return "an attribute's value lies in an inode, and the filesystem has no such feature";
            }

            uint size = raw.U32(AttributeFormat.ValueSizeOffset);
            int offset = raw.U16(AttributeFormat.ValueOffsetOffset);
            if (size == 0)
            {
                continue;
            }

            if (offset < valuesStart || size > _bytes.Length || offset > _bytes.Length - AttributeFormat.Pad((int)size))
            {
                return "an attribute's value lies outside the space for values";
            }

            if (!Claim(used, offset / CellByteLength, (offset + (int)size - 1) / CellByteLength))
            {
                return "the values of two attributes overlap";
            }
        }

        return null;
    }

    private static bool Claim(Span<ulong> used, int firstCell, int lastCell)
    {
        for (int cell = firstCell; cell <= lastCell; cell++)
        {
            ref ulong word = ref used[cell / BitsPerWord];
            ulong bit = 1UL << (cell % BitsPerWord);
            if ((word & bit) != 0)
            {
                return false;
            }

            word |= bit;
        }

        return true;
    }
}
