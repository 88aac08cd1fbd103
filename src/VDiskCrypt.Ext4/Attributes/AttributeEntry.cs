namespace VDiskCrypt.Ext4.Attributes;

/// <summary>One attribute where it lies.</summary>
internal readonly ref struct AttributeEntry(byte index, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
{
    /// <summary>e_name_index: stands for the name's prefix.</summary>
    public byte Index { get; } = index;

    /// <summary>Without the prefix.</summary>
    public ReadOnlySpan<byte> Name { get; } = name;

    public ReadOnlySpan<byte> Value { get; } = value;
}
