using System.Security.Cryptography;
using VDiskCrypt.Core;

namespace VDiskCrypt.Luks;

public sealed partial class LuksHeader
{
    /// <summary>
    /// Changes the header: <paramref name="change"/> describes the change on a copy, which is validated and then
    /// written. Key derivation happens before the lock is taken.
    /// </summary>
    /// <remarks>
    /// The order of writes; a crash between any two leaves a volume that opens with the old or with the new header:
    /// 1. the areas of new keyslots, flush;
    /// 2. the areas of removed keyslots are overwritten, flush (before the header forgets them: key material that no
    ///    header names could not be found again to be wiped);
    /// 3. the primary copy with the next sequence number, flush;
    /// 4. the secondary copy, flush.
    /// One change does not both add and remove keyslots: a crash after 2 would leave neither.
    /// </remarks>
    /// <exception cref="VDiskException">
    /// ReadOnly; Unsupported (unknown requirements); Damaged (a copy needs <see cref="Repair"/> first); InUse (somebody
    /// else changed the header since it was read); NoSpace (no room in the JSON or keyslots area).
    /// </exception>
    public void Update(Action<LuksHeaderEdit> change)
    {
        LuksHeaderEdit edit = BeginEdit();
        change(edit);
        Commit(edit);
    }

    private LuksHeaderEdit BeginEdit()
    {
        RequireWritable();
        RequireKnownFeatures();
        if (NeedsRepair)
        {
            throw VDiskException.Damaged(
                "LUKS2 header", PrimaryState == HeaderCopyState.Valid ? HeaderByteSize : 0,
                "one copy of the header is damaged or out of date", "repair the header first");
        }

        return new LuksHeaderEdit(this);
    }

    private void Commit(LuksHeaderEdit edit)
    {
        edit.Close();
        byte[] json = JsonArea.Serialize(edit.Json);
        if (json.Length >= HeaderByteSize - Luks2Layout.BinaryHeaderByteSize)
        {
            throw new VDiskException(
                FailureKind.NoSpace, "the header has no room for the change", "LUKS2 header, JSON area",
                "remove tokens or keyslots that are not needed");
        }

        // The same validation that a reader will make, before anything is written.
        var place = new JsonPlace("new LUKS2 header", Luks2Layout.BinaryHeaderByteSize);
        LuksMetadata metadata = LuksMetadata.Parse(edit.Json, HeaderByteSize, _device.ByteLength, place);
        BinaryHeader binary = _binary with
        {
            SequenceId = _binary.SequenceId + 1,
            Label = edit.Label,
            Subsystem = edit.Subsystem,
        };

        using IDisposable held = _lock.AcquireExclusive();
        RequireUnchangedOnDisk();
        WriteAreas(edit.NewAreas);
        WipeAreas(edit.RemovedAreas);
        PrimaryState = HeaderCopyState.Damaged;
        WriteCopy(binary, json, secondary: false);
        PrimaryState = HeaderCopyState.Valid;
        SecondaryState = HeaderCopyState.Damaged;
        _binary = binary;
        _json = edit.Json;
        _metadata = metadata;
        WriteCopy(binary with { Salt = RandomNumberGenerator.GetBytes(BinaryHeader.SaltByteCount) }, json, secondary: true);
        SecondaryState = HeaderCopyState.Valid;
    }

    /// <summary>
    /// Writes the first header of a volume over a keyslots area that is ready; the device's old header is gone.
    /// </summary>
    internal static LuksHeader WriteFirst(
        IBlockDevice device, IHeaderLock headerLock, BinaryHeader binary, System.Text.Json.Nodes.JsonObject json)
    {
        var place = new JsonPlace("new LUKS2 header", Luks2Layout.BinaryHeaderByteSize);
        LuksMetadata metadata = LuksMetadata.Parse(json, binary.HeaderByteSize, device.ByteLength, place);
        var header = new LuksHeader(device, headerLock, new HeaderCopy(0, binary, json, metadata, null));
        byte[] text = JsonArea.Serialize(json);
        header.WriteCopy(binary, text, secondary: false);
        header.WriteCopy(
            binary with { Salt = RandomNumberGenerator.GetBytes(BinaryHeader.SaltByteCount) }, text, secondary: true);
        return header;
    }

    /// <summary>Writes one whole copy, flushes, and reads it back.</summary>
    private void WriteCopy(BinaryHeader binary, ReadOnlySpan<byte> json, bool secondary)
    {
        var copy = new byte[binary.HeaderByteSize];
        json.CopyTo(copy.AsSpan(Luks2Layout.BinaryHeaderByteSize));
        binary.Seal(copy, secondary);
        long byteOffset = secondary ? binary.HeaderByteSize : 0;
        _device.Write(byteOffset, copy);
        _device.Flush();
        var written = new byte[copy.Length];
        _device.Read(byteOffset, written);
        if (!written.AsSpan().SequenceEqual(copy))
        {
            throw new VDiskException(
                FailureKind.InputOutput, "the header reads back different from what was written",
                $"{(secondary ? "secondary" : "primary")} LUKS2 header at byte {byteOffset}", "check the medium");
        }
    }

    private void WriteAreas(IReadOnlyList<(long ByteOffset, byte[] Material)> areas)
    {
        foreach ((long byteOffset, byte[] material) in areas)
        {
            _device.Write(byteOffset, material);
        }

        if (areas.Count > 0)
        {
            _device.Flush();
        }
    }

    private void WipeAreas(IReadOnlyList<(long ByteOffset, long ByteLength)> areas)
    {
        foreach ((long byteOffset, long byteLength) in areas)
        {
            LuksFormat.FillRandom(_device, byteOffset, byteLength);
        }

        if (areas.Count > 0)
        {
            _device.Flush();
        }
    }

    private void RequireWritable()
    {
        if (_device.IsReadOnly)
        {
            throw new VDiskException(FailureKind.ReadOnly, "the image is open for reading only", "LUKS2 header");
        }
    }

    /// <summary>Whoever updates the header raises its number under the same lock.</summary>
    private void RequireUnchangedOnDisk()
    {
        Span<byte> start = stackalloc byte[BinaryHeader.MeaningfulByteCount];
        _device.Read(0, start);
        BinaryHeader? now = BinaryHeader.TryParse(start, secondary: false, 0, out _);
        if (now is null || now.SequenceId != _binary.SequenceId || now.Uuid != _binary.Uuid)
        {
            throw ChangedMeanwhile();
        }
    }

    private static VDiskException ChangedMeanwhile() => new(
        FailureKind.InUse, "another program changed the header meanwhile", "primary LUKS2 header at byte 0",
        "run the command again");
}
