namespace VDiskCrypt.Ext4;

/// <summary>How an ext4 filesystem is opened.</summary>
public sealed record Ext4Options
{
    /// <summary>The default of <see cref="MetadataCacheByteLimit"/>: 32 MiB.</summary>
    public const int DefaultMetadataCacheByteLimit = 32 << 20;

    /// <summary>The default of <see cref="CommitIntervalMs"/>: 5 s, as the kernel's.</summary>
    public const int DefaultCommitIntervalMs = 5_000;

    /// <summary>The default of <see cref="InodeCacheLimit"/>.</summary>
    public const int DefaultInodeCacheLimit = 16_384;

    /// <summary>Open without the right to change anything; nothing is written to the device.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>Tell the device which blocks became free (this shows an observer of the device what is free).</summary>
    public bool Discard { get; init; }

    /// <summary>The order in which data and metadata reach the device.</summary>
    public DataMode DataMode { get; init; } = DataMode.Ordered;

    /// <summary>Native memory for metadata blocks, in bytes. Transactions are committed before they outgrow it.</summary>
    public int MetadataCacheByteLimit { get; init; } = DefaultMetadataCacheByteLimit;

    /// <summary>The longest time that a change stays in memory only, in milliseconds.</summary>
    public int CommitIntervalMs { get; init; } = DefaultCommitIntervalMs;

    /// <summary>How many inodes are kept in memory in full; references to more cost a few bytes each.</summary>
    public int InodeCacheLimit { get; init; } = DefaultInodeCacheLimit;
}
