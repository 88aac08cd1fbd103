namespace VDiskCrypt.Ext4.Attributes;

/// <summary>One attribute in memory, while the set that it belongs to is rebuilt.</summary>
internal sealed class AttributeRecord(byte index, byte[] name, byte[] value)
{
    public byte Index { get; } = index;

    /// <summary>Without the prefix.</summary>
    public byte[] Name { get; } = name;

    public byte[] Value { get; } = value;

    /// <summary>What entry and value take.</summary>
    public int ByteLength => AttributeFormat.EntryByteLength(Name.Length) + AttributeFormat.Pad(Value.Length);

    public bool Is(byte index, ReadOnlySpan<byte> name) => Index == index && name.SequenceEqual(Name);

    /// <summary>The order in a block, in which the kernel searches: index, length of the name, name.</summary>
    public static int Compare(AttributeRecord left, AttributeRecord right)
    {
        int order = left.Index.CompareTo(right.Index);
        order = order != 0 ? order : left.Name.Length.CompareTo(right.Name.Length);
        return order != 0 ? order : left.Name.AsSpan().SequenceCompareTo(right.Name);
    }
}
