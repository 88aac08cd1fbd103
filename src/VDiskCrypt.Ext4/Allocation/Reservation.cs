namespace VDiskCrypt.Ext4.Allocation;

/// <summary>
/// Free blocks behind the end of a growing file that only this file is given, so that files growing side by side stay in
/// long runs. Lives in memory only. Its monitor guards it and is taken before a group's.
/// </summary>
internal sealed class Reservation
{
    public ulong Start { get; set; }

    public uint Count { get; set; }
}
