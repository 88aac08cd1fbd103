using System.Security.Cryptography;
using VDiskCrypt.Core;

namespace VDiskCrypt.Luks;

public sealed partial class LuksHeader
{
    /// <summary>Reads the valid, newest copy. Never writes.</summary>
    /// <param name="device">The device that holds the header.</param>
    /// <param name="headerLock">Kept for updates as well.</param>
    /// <exception cref="VDiskException">
    /// Damaged: both copies are. Unsupported: it is LUKS1, BitLocker or something else that has a name. Damaged, too: nothing
    /// that is recognised.
    /// </exception>
    public static LuksHeader Read(IBlockDevice device, IHeaderLock? headerLock = null)
    {
        headerLock ??= NoHeaderLock.Instance;
        using IDisposable held = headerLock.AcquireShared();
        return ReadLocked(device, headerLock);
    }

    /// <summary>Whether a device looks like LUKS2: either copy's magic stands where it may stand.</summary>
    public static bool IsPresent(IBlockDevice device) => VolumeSignature.HasLuks2Magic(device);

    /// <summary>
    /// Writes the bad copy anew from the good one, with a salt of its own. Does nothing when both are valid.
    /// </summary>
    /// <exception cref="VDiskException">ReadOnly, InUse (the header changed meanwhile).</exception>
    public void Repair()
    {
        if (!NeedsRepair)
        {
            return;
        }

        RequireWritable();
        using IDisposable held = _lock.AcquireExclusive();
        LuksHeader now = ReadLocked(_device, _lock);
        if (now.SequenceId != SequenceId || now.Uuid != Uuid)
        {
            throw ChangedMeanwhile();
        }

        foreach (bool secondary in (ReadOnlySpan<bool>)[false, true])
        {
            if ((secondary ? now.SecondaryState : now.PrimaryState) != HeaderCopyState.Valid)
            {
                BinaryHeader repaired = _binary with { Salt = RandomNumberGenerator.GetBytes(BinaryHeader.SaltByteCount) };
                WriteCopy(repaired, JsonArea.Serialize(_json), secondary);
            }
        }

        PrimaryState = HeaderCopyState.Valid;
        SecondaryState = HeaderCopyState.Valid;
    }

    private static LuksHeader ReadLocked(IBlockDevice device, IHeaderLock headerLock)
    {
        HeaderCopy primary = HeaderCopy.Read(device, 0, secondary: false);
        HeaderCopy secondary = FindSecondary(device, primary);
        if (!primary.IsValid && !secondary.IsValid)
        {
            throw Neither(device, primary, secondary);
        }

        bool secondaryCounts = !primary.IsValid
            || (secondary.IsValid && secondary.Binary!.SequenceId > primary.Binary!.SequenceId);
        HeaderCopy current = secondaryCounts ? secondary : primary;
        return new LuksHeader(device, headerLock, current)
        {
            PrimaryState = StateOf(primary, current),
            SecondaryState = StateOf(secondary, current),
        };
    }

    /// <summary>Behind the primary where that is known, otherwise at each place where one can be.</summary>
    private static HeaderCopy FindSecondary(IBlockDevice device, HeaderCopy primary)
    {
        if (primary.IsValid)
        {
            return HeaderCopy.Read(device, primary.Binary!.HeaderByteSize, secondary: true);
        }

        HeaderCopy? found = null;
        for (long offset = Luks2Layout.SmallestHeaderByteSize; offset <= Luks2Layout.LargestHeaderByteSize; offset *= 2)
        {
            HeaderCopy candidate = HeaderCopy.Read(device, offset, secondary: true);
            if (candidate.IsValid)
            {
                return candidate;
            }

            // A copy with a good checksum and bad content says more about the failure than a missing one.
            found = found is null || (found.Binary is null && candidate.Binary is not null) ? candidate : found;
        }

        return found!;
    }

    private static HeaderCopyState StateOf(HeaderCopy copy, HeaderCopy current) =>
        !copy.IsValid ? HeaderCopyState.Damaged
        : ReferenceEquals(copy, current) || SameContent(copy, current) ? HeaderCopyState.Valid
        : HeaderCopyState.Stale;

    private static bool SameContent(HeaderCopy one, HeaderCopy other) =>
        one.Binary!.SequenceId == other.Binary!.SequenceId
        && one.Binary.HeaderByteSize == other.Binary.HeaderByteSize
        && one.Binary.Uuid == other.Binary.Uuid
        && one.Binary.Label == other.Binary.Label
        && one.Binary.Subsystem == other.Binary.Subsystem
        && JsonArea.Serialize(one.Json!).AsSpan().SequenceEqual(JsonArea.Serialize(other.Json!));

    private static VDiskException Neither(IBlockDevice device, HeaderCopy primary, HeaderCopy secondary)
    {
        if (primary.Binary is not null || secondary.Binary is not null)
        {
            // The checksum fits and the content does not: its own reason is the one that helps.
            return (primary.Binary is not null ? primary : secondary).Failure!;
        }

        return VolumeSignature.HasLuks2Magic(device)
            ? VDiskException.Damaged(
                "LUKS2 header", 0, $"both copies of the header are damaged (the first: {primary.Failure!.Message})",
                "restore the header from a backup")
            : VolumeSignature.Explain(device);
    }
}
