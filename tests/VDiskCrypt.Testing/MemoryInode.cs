using VDiskCrypt.Core;

namespace VDiskCrypt.Testing;

/// <summary>An inode of a <see cref="MemoryFileSystem"/>.</summary>
internal sealed class MemoryInode(ulong inode, uint mode, UnixTime now)
{
    public ulong Inode { get; } = inode;

    public uint Mode { get; set; } = mode;

    public uint LinkCount { get; set; } = 1;

    public ulong ReferenceCount { get; set; }

    public uint UserId { get; set; }

    public uint GroupId { get; set; }

    public uint DeviceMajor { get; init; }

    public uint DeviceMinor { get; init; }

    public long Size { get; set; }

    public UnixTime AccessTime { get; set; } = now;

    public UnixTime ModifyTime { get; set; } = now;

    public UnixTime ChangeTime { get; set; } = now;

    public UnixTime BirthTime { get; } = now;

    /// <summary>Contents by block number; a missing block is a hole.</summary>
    public Dictionary<long, byte[]> Blocks { get; } = [];

    public byte[] LinkTarget { get; init; } = [];

    public MemoryDirectory? Directory { get; } = UnixMode.IsDirectory(mode) ? new MemoryDirectory() : null;

    public SortedDictionary<string, byte[]> ExtendedAttributes { get; } = new(StringComparer.Ordinal);

    public InodeAttributes ToAttributes() => new()
    {
        Inode = Inode,
        Generation = 1,
        Mode = Mode,
        LinkCount = LinkCount,
        UserId = UserId,
        GroupId = GroupId,
        DeviceMajor = DeviceMajor,
        DeviceMinor = DeviceMinor,
        Size = UnixMode.IsSymbolicLink(Mode) ? LinkTarget.Length : Size,
        Blocks512 = Blocks.Count * (MemoryFileSystem.BlockByteCount / 512L),
        BlockByteSize = MemoryFileSystem.BlockByteCount,
        AccessTime = AccessTime,
        ModifyTime = ModifyTime,
        ChangeTime = ChangeTime,
        BirthTime = BirthTime,
    };
}
