using System.Text.Json.Nodes;
using VDiskCrypt.Core;

namespace VDiskCrypt.Luks;

/// <summary>
/// The header of a LUKS2 volume (LUKS2 on-disk format specification 1.1.x), as it was read from a device and as it is
/// after each update. Everything in it that this program does not know is kept on every rewrite. Not thread-safe.
/// </summary>
/// <remarks>
/// The device must outlive this object, which does not dispose it. It may hold the header alone (a detached header).
/// Reading never writes; a damaged copy is repaired only by <see cref="Repair"/>.
/// </remarks>
public sealed partial class LuksHeader
{
    private readonly IBlockDevice _device;
    private readonly IHeaderLock _lock;
    private BinaryHeader _binary;
    private JsonObject _json;
    private LuksMetadata _metadata;

    private LuksHeader(IBlockDevice device, IHeaderLock headerLock, HeaderCopy current)
    {
        _device = device;
        _lock = headerLock;
        _binary = current.Binary!;
        _json = current.Json!;
        _metadata = current.Metadata!;
    }

    public string Uuid => _binary.Uuid;

    public string Label => _binary.Label;

    public string Subsystem => _binary.Subsystem;

    /// <summary>Rises with every update.</summary>
    public ulong SequenceId => _binary.SequenceId;

    /// <summary>Bytes of one of the two copies.</summary>
    public int HeaderByteSize => _binary.HeaderByteSize;

    /// <summary>Bytes of both copies and of the keyslots area: what a backup of the header holds.</summary>
    public long HeaderAndKeyslotsByteSize => (2L * HeaderByteSize) + _metadata.KeyslotsByteSize;

    public HeaderCopyState PrimaryState { get; private set; }

    public HeaderCopyState SecondaryState { get; private set; }

    public bool NeedsRepair => PrimaryState != HeaderCopyState.Valid || SecondaryState != HeaderCopyState.Valid;

    public IReadOnlyList<LuksKeyslot> Keyslots => _metadata.Keyslots;

    public IReadOnlyList<LuksToken> Tokens => _metadata.Tokens;

    public IReadOnlyList<LuksSegment> Segments => _metadata.Segments;

    public IReadOnlyList<LuksDigest> Digests => _metadata.Digests;

    /// <summary>Optional behaviour stored in the header, such as "allow-discards".</summary>
    public IReadOnlyList<string> Flags => _metadata.Flags;

    /// <summary>Features that whoever uses the volume must know; this program uses none such volume.</summary>
    public IReadOnlyList<string> Requirements => _metadata.Requirements;

    public bool AllowsDiscards => Flags.Contains(LuksFlag.AllowDiscards);

    /// <summary>The JSON of the header as text, for people: it holds no secret.</summary>
    public string MetadataText => System.Text.Encoding.UTF8.GetString(JsonArea.Serialize(_json));

    internal JsonObject Json => _json;

    /// <summary>The one encrypted segment that a volume of this program has.</summary>
    /// <exception cref="VDiskException">Unsupported, naming what the volume has instead.</exception>
    public LuksSegment DataSegment
    {
        get
        {
            RequireKnownFeatures();
            List<LuksSegment> regular = [.. Segments.Where(segment => !segment.IsBackup)];
            LuksSegment first = regular[0];
            string? objection =
                regular.Count > 1 ? $"it has {regular.Count} data segments"
                : first.Type != "crypt" ? $"its data segment is of type {first.Type}"
                : first.HasIntegrity ? "it has an integrity layer (dm-integrity)"
                : first.Encryption != Luks2Layout.AesXtsPlain64 ? $"its cipher is {first.Encryption}"
                : null;
            return objection is null
                ? first
                : throw VDiskException.Unsupported("LUKS2 header, JSON segments", $"the volume cannot be used: {objection}",
                    "open it with cryptsetup");
        }
    }

    /// <summary>Refuses a volume whose header names mandatory features, a re-encryption under way among them.</summary>
    public void RequireKnownFeatures()
    {
        if (Requirements.Count == 0)
        {
            return;
        }

        bool reencrypts = Requirements.Any(name =>
            name == "offline-reencrypt" || name.StartsWith("online-reencrypt", StringComparison.Ordinal));
        throw VDiskException.Unsupported(
            "LUKS2 header, JSON config.requirements",
            reencrypts
                ? "a re-encryption of the volume is under way"
                : $"the volume needs features that this program does not have: {string.Join(", ", Requirements)}",
            reencrypts ? "finish it with cryptsetup reencrypt --resume-only" : "open it with cryptsetup");
    }

    /// <summary>The digest that verifies the key of the data segment.</summary>
    private LuksDigest DataDigest => Digests.First(digest => digest.Segments.Contains(DataSegment.Number));
}
