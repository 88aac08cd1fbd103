namespace VDiskCrypt.Core;

/// <summary>What stat(2) shows of an inode.</summary>
public struct InodeAttributes
{
    public ulong Inode;

    /// <summary>Distinguishes successive uses of one inode number.</summary>
    public uint Generation;

    /// <summary>File type and permission bits as in st_mode (see <see cref="UnixMode"/>).</summary>
    public uint Mode;

    public uint LinkCount;
    public uint UserId;
    public uint GroupId;
    public uint DeviceMajor;
    public uint DeviceMinor;

    /// <summary>Bytes.</summary>
    public long Size;

    /// <summary>Allocated space in units of 512 bytes.</summary>
    public long Blocks512;

    /// <summary>Preferred I/O size in bytes.</summary>
    public uint BlockByteSize;

    public UnixTime AccessTime;
    public UnixTime ModifyTime;
    public UnixTime ChangeTime;
    public UnixTime BirthTime;
}
