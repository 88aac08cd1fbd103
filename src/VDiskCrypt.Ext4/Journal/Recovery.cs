using VDiskCrypt.Core;
using VDiskCrypt.Ext4.OnDisk;

namespace VDiskCrypt.Ext4.Journal;

/// <summary>
/// Brings a filesystem to the state of its last committed transaction before it is used: by replaying its journal, or,
/// where nothing may be written, by reading through the log. Also where a superblock that a crash tore in two is judged.
/// </summary>
internal sealed class Recovery
{
    /// <summary>s_error_count to s_last_error_func: what went wrong, and when.</summary>
    private const int ErrorFieldsOffset = 0x194;

    private const int ErrorFieldsByteLength = 0x200 - ErrorFieldsOffset;

    private Recovery(IBlockDevice device) => View = device;

    /// <summary>What to read from: the device, or the device as after a replay.</summary>
    public IBlockDevice View { get; private set; }

    public Geometry Geometry { get; private set; } = null!;

    /// <summary>Features that permit reading only.</summary>
    public ReadOnlyCompatibleFeatures Forbidding { get; private set; }

    /// <summary>The journal, opened for writing or for reading through; null when there is none or it is not needed.</summary>
    public Journal? Journal { get; private set; }

    public ushort State { get; private set; }

    /// <summary>Why the filesystem may only be read although the caller wants to write; null when it may be written.</summary>
    public string? Obstacle { get; private set; }

    public List<string> Notices { get; } = [];

    /// <summary>Recovers.</summary>
    /// <param name="device">The device.</param>
    /// <param name="wantsWrite">Whether the filesystem is to be written; otherwise nothing is written here either.</param>
    public static Recovery Run(IBlockDevice device, bool wantsWrite)
    {
        var recovery = new Recovery(device);
        bool isTorn = recovery.ReadGeometry(acceptTorn: true);
        if (recovery.Geometry.Has(CompatibleFeatures.HasJournal)
            && (wantsWrite || recovery.Geometry.Has(IncompatibleFeatures.Recover)))
        {
            recovery.Journal = Journal.Open(device, recovery.Geometry);
            recovery.Journal.Recover();
        }
        else if (recovery.Geometry.Has(IncompatibleFeatures.Recover))
        {
            throw VDiskException.Damaged("ext4 superblock", SuperblockOnDisk.ByteOffset,
                "the filesystem needs recovery but has no journal", "check the filesystem with e2fsck");
        }

        bool mayWrite = wantsWrite && recovery.Forbidding == 0;
        if (isTorn)
        {
            mayWrite &= recovery.JudgeTorn();
        }

        recovery.UseLog(mayWrite);
        return recovery;
    }

    private static ulong SuperblockBlock(Geometry geometry) => SuperblockOnDisk.ByteOffset / (ulong)geometry.BlockByteSize;

    // The order for writing: 1. replay (places, flush, log empty); 2. the superblock as replayed is read and checked;
    // 3. its needs_recovery is cleared, durable. A crash before 3 finds an empty log.
    private void UseLog(bool mayWrite)
    {
        if (Journal is null)
        {
            return;
        }

        bool needsRecovery = Geometry.Has(IncompatibleFeatures.Recover);
        if (Journal.RecoveryNotice is { } notice && needsRecovery)
        {
            Notices.Add(notice);
        }

        if (!needsRecovery && !Journal.IsEmpty)
        {
            // The superblock has the last word: a log that it does not ask for is from before the last clean end.
            Journal.Map.Clear();
        }

        if (!mayWrite)
        {
            View = new LoggedDevice(View, Journal, Geometry.BlockByteSize);
            ReadGeometry(acceptTorn: Obstacle is not null);
            return;
        }

        var before = new byte[SuperblockOnDisk.ByteLength];
        View.Read(SuperblockOnDisk.ByteOffset, before);
        if (!Journal.IsEmpty)
        {
            if (needsRecovery)
            {
                Journal.Replay();
                ReadGeometry(acceptTorn: true);
            }
            else
            {
                Journal.Wipe();
            }
        }

        if (needsRecovery || Journal.ErrorNumber != 0)
        {
            FinishReplay(Journal, before);
        }
    }

    /// <summary>Errors that were recorded after the last commit outlive the replay.</summary>
    private void FinishReplay(Journal journal, Span<byte> before)
    {
        var bytes = new byte[SuperblockOnDisk.ByteLength];
        View.Read(SuperblockOnDisk.ByteOffset, bytes);
        var superblock = new SuperblockOnDisk(bytes);
        superblock.Incompatible &= ~IncompatibleFeatures.Recover;
        superblock.State |= (ushort)(new SuperblockOnDisk(before).State & SuperblockOnDisk.StateError);
        before.Slice(ErrorFieldsOffset, ErrorFieldsByteLength).CopyTo(bytes.AsSpan(ErrorFieldsOffset));
        if (journal.ErrorNumber != 0)
        {
            superblock.State |= SuperblockOnDisk.StateError;
        }

        State = superblock.State;
        if (Geometry.Has(ReadOnlyCompatibleFeatures.MetadataChecksum))
        {
            superblock.Checksum = MetadataChecksum.Superblock(bytes);
        }

        View.Write(SuperblockOnDisk.ByteOffset, bytes, forceUnitAccess: true);
        if (journal.ErrorNumber != 0)
        {
            journal.StoreError(0);
        }
    }

    /// <summary>Reads and checks the superblock.</summary>
    /// <param name="acceptTorn">Go on although the checksum does not match.</param>
    /// <returns>Whether the checksum did not match.</returns>
    private bool ReadGeometry(bool acceptTorn)
    {
        var bytes = new byte[SuperblockOnDisk.ByteLength];
        View.Read(SuperblockOnDisk.ByteOffset, bytes);
        var superblock = new SuperblockOnDisk(bytes);
        bool isTorn = acceptTorn && superblock.Magic == SuperblockOnDisk.MagicValue
            && (superblock.ReadOnlyCompatible & ReadOnlyCompatibleFeatures.MetadataChecksum) != 0
            && superblock.Checksum != MetadataChecksum.Superblock(bytes);
        if (isTorn)
        {
            superblock.Checksum = MetadataChecksum.Superblock(bytes);
        }

        Geometry = Geometry.Parse(bytes, View.ByteLength, out ReadOnlyCompatibleFeatures forbidding);
        Forbidding = forbidding;
        State = superblock.State;
        return isTorn;
    }

    /// <summary>
    /// The superblock has 1024 bytes, of which a power cut may leave the first or second half old. All fields that change
    /// while a filesystem is used lie in the first half, so a torn one is right but for its checksum. That it is torn, not
    /// damaged, shows in the journal's copy, which replaces it, or in a backup that agrees in all other fields.
    /// </summary>
    /// <returns>Whether the superblock can be relied on.</returns>
    private bool JudgeTorn()
    {
        var bytes = new byte[SuperblockOnDisk.ByteLength];
        if (Journal is not null && Journal.Map.TryGet(SuperblockBlock(Geometry), out _))
        {
            new LoggedDevice(View, Journal, Geometry.BlockByteSize).Read(SuperblockOnDisk.ByteOffset, bytes);
            if (new SuperblockOnDisk(bytes).Checksum == MetadataChecksum.Superblock(bytes))
            {
                return true;
            }
        }

        View.Read(SuperblockOnDisk.ByteOffset, bytes);
        if (SuperblockBackup.Agrees(View, Geometry, bytes))
        {
            return true;
        }

        Obstacle = "the superblock's checksum does not match and no copy confirms it; run e2fsck";
        return false;
    }
}
