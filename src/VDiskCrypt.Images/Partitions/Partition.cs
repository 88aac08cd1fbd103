namespace VDiskCrypt.Images;

/// <summary>One partition of a disk.</summary>
public sealed record Partition
{
    /// <summary>As Linux numbers them: the slot in a GPT or MBR from 1, logical partitions of an MBR from 5.</summary>
    public required int Number { get; init; }

    public required long ByteOffset { get; init; }

    public required long ByteLength { get; init; }

    /// <summary>The partition type GUID of a GPT; empty in an MBR.</summary>
    public Guid TypeId { get; init; }

    /// <summary>The partition's own GUID in a GPT; empty in an MBR.</summary>
    public Guid UniqueId { get; init; }

    /// <summary>The name in a GPT; empty in an MBR.</summary>
    public string Name { get; init; } = "";

    /// <summary>The type byte of an MBR; 0 in a GPT.</summary>
    public byte MbrType { get; init; }
}
