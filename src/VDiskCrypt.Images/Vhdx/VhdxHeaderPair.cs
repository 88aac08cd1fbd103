using VDiskCrypt.Core;

namespace VDiskCrypt.Images.Vhdx;

/// <summary>
/// The two headers of a file ([MS-VHDX] 2.2.2): the valid one with the higher sequence number counts, and an update
/// overwrites the other.
/// </summary>
internal sealed class VhdxHeaderPair
{
    private readonly IHostFile _file;
    private int _currentSlot;

    private VhdxHeaderPair(IHostFile file, VhdxHeader current, int currentSlot)
    {
        _file = file;
        Current = current;
        _currentSlot = currentSlot;
    }

    public VhdxHeader Current { get; private set; }

    public static VhdxHeaderPair Read(IHostFile file, List<string> notices)
    {
        VhdxHeader? first = ReadSlot(file, 0);
        VhdxHeader? second = ReadSlot(file, 1);
        if (first is null && second is null)
        {
            throw VDiskException.Damaged(
                "VHDX header", VhdxFormat.FirstHeaderOffset, "neither of the two headers is valid",
                "restore the first MiB of the image from a backup");
        }

        // Equal numbers in two valid headers cannot come from a writer that follows 2.2.2.1, unless both are the same.
        if (first is not null && second is not null && first.SequenceNumber == second.SequenceNumber && first != second)
        {
            throw VDiskException.Damaged(
                "VHDX header", VhdxFormat.SecondHeaderOffset,
                $"both headers carry the sequence number {first.SequenceNumber} and differ");
        }

        bool isFirst = second is null || (first is not null && first.SequenceNumber >= second.SequenceNumber);
        if (first is null || second is null)
        {
            notices.Add($"VHDX header {(first is null ? 1 : 2)} is damaged; the other one is used");
        }

        VhdxHeader current = isFirst ? first! : second!;
        Check(current, SlotOffset(isFirst ? 0 : 1));
        return new VhdxHeaderPair(file, current, isFirst ? 0 : 1);
    }

    /// <summary>
    /// Makes <paramref name="changed"/> the header, durable on return ([MS-VHDX] 2.2.2.1):
    /// 1. It is written over the header that does not count, with the next sequence number; flush: now it counts.
    /// 2. Again over the other one; flush: now both say the same, and either may be lost.
    /// </summary>
    public void Update(VhdxHeader changed)
    {
        Span<byte> bytes = stackalloc byte[VhdxFormat.HeaderByteSize];
        for (int copy = 0; copy < 2; copy++)
        {
            VhdxHeader next = changed with { SequenceNumber = checked(Current.SequenceNumber + 1) };
            int slot = 1 - _currentSlot;
            next.WriteTo(bytes);
            _file.Write(SlotOffset(slot), bytes);
            _file.Flush();
            Current = next;
            _currentSlot = slot;
        }
    }

    private static VhdxHeader? ReadSlot(IHostFile file, int slot)
    {
        Span<byte> bytes = stackalloc byte[VhdxFormat.HeaderByteSize];
        file.Read(SlotOffset(slot), bytes);
        return VhdxHeader.Parse(bytes);
    }

    private static void Check(VhdxHeader header, long byteOffset)
    {
        if (header.Version != 1 || header.LogVersion != 0)
        {
            throw VDiskException.Unsupported(
                "VHDX header", $"version {header.Version} with log version {header.LogVersion} (1 with 0 is known)");
        }

        if (header.SequenceNumber > ulong.MaxValue / 2)
        {
            throw VDiskException.Damaged(
                "VHDX header", byteOffset, $"sequence number {header.SequenceNumber} leaves no room for updates");
        }

        if (header.LogByteSize % VhdxFormat.Mebibyte != 0 || header.LogOffset % VhdxFormat.Mebibyte != 0 ||
            (header.LogByteSize != 0 && header.LogOffset < VhdxFormat.HeaderSectionByteSize))
        {
            throw VDiskException.Damaged(
                "VHDX header", byteOffset,
                $"the log of {header.LogByteSize} bytes at {header.LogOffset} does not lie on MiB boundaries behind the headers");
        }

        if (header.LogByteSize > VhdxFormat.LargestLogByteSize)
        {
            throw VDiskException.Unsupported(
                "VHDX header", $"a log of {header.LogByteSize} bytes (up to {VhdxFormat.LargestLogByteSize} are handled)");
        }

        if (header.LogByteSize == 0 && header.LogId != Guid.Empty)
        {
            throw VDiskException.Damaged("VHDX header", byteOffset, "the log is in use but has no size");
        }
    }

    private static long SlotOffset(int slot) =>
        slot == 0 ? VhdxFormat.FirstHeaderOffset : VhdxFormat.SecondHeaderOffset;
}
