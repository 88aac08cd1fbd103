namespace VDiskCrypt.Core;

/// <summary>Which attributes a change names.</summary>
[Flags]
public enum AttributeFields
{
    None = 0,
    Mode = 1,
    UserId = 2,
    GroupId = 4,
    Size = 8,
    AccessTime = 16,
    ModifyTime = 32,
    ChangeTime = 64,

    /// <summary>Clear the set-user-id bit, the file capabilities, and the set-group-id bit where the group may execute (file contents changed by one who may not keep them).</summary>
    KillPrivileges = 128,
}

/// <summary>A change of attributes: the named fields take the given values; change time is set by the filesystem unless named.</summary>
public struct AttributeChange
{
    public AttributeFields Fields;

    /// <summary>Permission bits; the type bits are ignored.</summary>
    public uint Mode;

    public uint UserId;
    public uint GroupId;

    /// <summary>Bytes. Growth reads as zeros.</summary>
    public long Size;

    public UnixTime AccessTime;
    public UnixTime ModifyTime;
    public UnixTime ChangeTime;
}

/// <summary>What a new inode starts with.</summary>
public readonly struct NewInode
{
    /// <summary>Type and permission bits, before <see cref="Umask"/>.</summary>
    public uint Mode { get; init; }

    /// <summary>Bits to clear, unless the directory has a default ACL, which then decides instead (POSIX 1003.1e draft 17, 23.1.2).</summary>
    public uint Umask { get; init; }

    public uint UserId { get; init; }

    /// <summary>The caller's group; a directory with the set-group-id bit overrides it.</summary>
    public uint GroupId { get; init; }

    public uint DeviceMajor { get; init; }

    public uint DeviceMinor { get; init; }
}

/// <summary>How a rename treats an existing target; values of renameat2(2).</summary>
[Flags]
public enum RenameFlags
{
    None = 0,
    NoReplace = 1,
    Exchange = 2,

    /// <summary>Leave a whiteout (character device 0:0) in the old place.</summary>
    Whiteout = 4,
}

/// <summary>What fallocate(2) does to a range; values of the kernel.</summary>
[Flags]
public enum AllocateFlags
{
    None = 0,
    KeepSize = 1,
    PunchHole = 2,
    ZeroRange = 16,
}

/// <summary>How an extended attribute is set; values of setxattr(2).</summary>
public enum SetAttributeMode
{
    CreateOrReplace = 0,
    Create = 1,
    Replace = 2,
}

/// <summary>What a seek looks for.</summary>
public enum SeekTarget
{
    Data,
    Hole,
}

/// <summary>What statfs(2) shows.</summary>
public readonly record struct FileSystemStatistics(
    uint BlockByteSize, ulong BlockCount, ulong FreeBlockCount, ulong AvailableBlockCount,
    ulong InodeCount, ulong FreeInodeCount, uint MaximumNameByteCount);
