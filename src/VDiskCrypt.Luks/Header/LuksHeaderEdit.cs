using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using VDiskCrypt.Core;
using VDiskCrypt.Crypto;

namespace VDiskCrypt.Luks;

/// <summary>
/// A change of a header in the making, on a copy of its JSON: see <see cref="LuksHeader.Update"/>, which validates and
/// writes it as one step. Not to be used after that call.
/// </summary>
public sealed class LuksHeaderEdit
{
    private readonly LuksHeader _header;
    private readonly List<(long ByteOffset, byte[] Material)> _newAreas = [];
    private readonly List<(long ByteOffset, long ByteLength)> _removedAreas = [];
    private bool _closed;

    internal LuksHeaderEdit(LuksHeader header)
    {
        _header = header;
        Json = (JsonObject)header.Json.DeepClone();
        Label = header.Label;
        Subsystem = header.Subsystem;
    }

    internal JsonObject Json { get; }

    internal string Label { get; private set; }

    internal string Subsystem { get; private set; }

    internal IReadOnlyList<(long ByteOffset, byte[] Material)> NewAreas => _newAreas;

    internal IReadOnlyList<(long ByteOffset, long ByteLength)> RemovedAreas => _removedAreas;

    /// <summary>Adds a keyslot for the data segment; runs the key derivation. Returns its number.</summary>
    /// <exception cref="VDiskException">WrongCredential (not the volume key), NoSpace, Usage.</exception>
    public int AddKeyslot(
        SecretMemory volumeKey, ReadOnlySpan<byte> passphrase, LuksKdf kdf,
        LuksKeyslotPriority priority = LuksKeyslotPriority.Normal)
    {
        RequireOpen();
        if (_removedAreas.Count > 0)
        {
            throw AddsAndRemoves();
        }

        if (!_header.IsVolumeKey(volumeKey))
        {
            throw new VDiskException(
                FailureKind.WrongCredential, "the key is not the volume key of this volume", $"LUKS2 volume {_header.Uuid}");
        }

        int number = FreeNumber(Section("keyslots"), "keyslots");
        int areaByteCount = KeyslotArea.AreaByteCount(volumeKey.ByteCount);
        long areaByteOffset = FindFreeArea(areaByteCount);
        byte[] salt = RandomNumberGenerator.GetBytes(Luks2Layout.SaltByteCount);
        using var areaKey = new SecretMemory(volumeKey.ByteCount);
        kdf.Derive(passphrase, salt, areaKey.Span);
        byte[] material = KeyslotArea.Encrypt(areaKey, KdfHash.Sha256, volumeKey);
        var keyslot = new JsonObject
        {
            ["type"] = "luks2",
            ["key_size"] = volumeKey.ByteCount,
            ["af"] = new JsonObject { ["type"] = "luks1", ["stripes"] = Luks2Layout.Stripes, ["hash"] = "sha256" },
            ["area"] = new JsonObject
            {
                ["type"] = "raw",
                ["offset"] = areaByteOffset.ToString(CultureInfo.InvariantCulture),
                ["size"] = areaByteCount.ToString(CultureInfo.InvariantCulture),
                ["encryption"] = Luks2Layout.AesXtsPlain64,
                ["key_size"] = areaKey.ByteCount,
            },
            ["kdf"] = Describe(kdf, salt),
        };
        if (priority != LuksKeyslotPriority.Normal)
        {
            keyslot["priority"] = (int)priority;
        }

        Section("keyslots")[Name(number)] = keyslot;
        DigestOfData()["keyslots"]!.AsArray().Add((JsonNode)Name(number));
        _newAreas.Add((areaByteOffset, material));
        return number;
    }

    /// <summary>Takes a keyslot out of the header; its area is overwritten before the header forgets it.</summary>
    public void RemoveKeyslot(int number, bool allowLast = false)
    {
        RequireOpen();
        if (_newAreas.Count > 0)
        {
            throw AddsAndRemoves();
        }

        LuksKeyslot keyslot = _header.Keyslots.FirstOrDefault(candidate => candidate.Number == number)
            ?? throw new VDiskException(FailureKind.NotFound, $"there is no keyslot {number}", $"LUKS2 volume {_header.Uuid}");
        JsonArray ofData = DigestOfData()["keyslots"]!.AsArray();
        if (!allowLast && ofData.Count == 1 && Contains(ofData, number))
        {
            throw new VDiskException(
                FailureKind.NotPermitted, "this is the last keyslot: without it nobody can ever open the volume",
                $"LUKS2 volume {_header.Uuid}, keyslot {number}", "add another keyslot first");
        }

        Section("keyslots").Remove(Name(number));
        foreach ((string _, JsonNode? owner) in Section("digests").Concat(Section("tokens")))
        {
            Remove(owner!["keyslots"]!.AsArray(), number);
        }

        _removedAreas.Add((keyslot.AreaByteOffset, keyslot.AreaByteLength));
    }

    /// <summary>Adds a token: any object with a "type" text and a "keyslots" array of texts. Returns its number.</summary>
    public int AddToken(JsonObject content)
    {
        RequireOpen();
        JsonObject tokens = Section("tokens");
        int number = FreeNumber(tokens, "tokens");
        tokens[Name(number)] = content.DeepClone();
        return number;
    }

    /// <summary>Puts other content in the place of a token.</summary>
    public void ReplaceToken(int number, JsonObject content)
    {
        RequireToken(number);
        Section("tokens")[Name(number)] = content.DeepClone();
    }

    public void RemoveToken(int number)
    {
        RequireToken(number);
        Section("tokens").Remove(Name(number));
    }

    /// <summary>Sets or clears a persistent flag, such as <see cref="LuksFlag.AllowDiscards"/>.</summary>
    public void SetFlag(string flag, bool on)
    {
        RequireOpen();
        JsonObject config = Section("config");
        List<string> flags = [.. (config["flags"] as JsonArray ?? []).Select(item => item!.GetValue<string>())];
        flags.Remove(flag);
        if (on)
        {
            flags.Add(flag);
        }

        config.Remove("flags");
        if (flags.Count > 0)
        {
            config["flags"] = new JsonArray([.. flags.Select(item => (JsonNode)item)]);
        }
    }

    /// <summary>The label that udev shows, up to 47 bytes of UTF-8.</summary>
    public void SetLabel(string label)
    {
        RequireOpen();
        Label = RequireLabel(label);
    }

    /// <summary>A second label, for the owner of the volume.</summary>
    public void SetSubsystem(string subsystem)
    {
        RequireOpen();
        Subsystem = RequireLabel(subsystem);
    }

    /// <summary>
    /// The authentication code of the header as this change will leave it; see <see cref="HeaderAuthentication"/>.
    /// </summary>
    public byte[] ComputeAuthentication(SecretMemory volumeKey) => HeaderAuthentication.Compute(Json, volumeKey);

    internal static JsonObject Describe(LuksKdf kdf, byte[] salt) => kdf switch
    {
        LuksKdf.Pbkdf2 pbkdf2 => new JsonObject
        {
            ["type"] = pbkdf2.Type,
            ["hash"] = LuksNames.Of(pbkdf2.Hash),
            ["iterations"] = pbkdf2.Iterations,
            ["salt"] = Convert.ToBase64String(salt),
        },
        LuksKdf.Argon2 argon2 => new JsonObject
        {
            ["type"] = argon2.Type,
            ["time"] = argon2.Parameters.Passes,
            ["memory"] = argon2.Parameters.MemoryKiB,
            ["cpus"] = argon2.Parameters.Lanes,
            ["salt"] = Convert.ToBase64String(salt),
        },
        _ => throw new ArgumentOutOfRangeException(nameof(kdf)),
    };

    internal static string RequireLabel(string label) =>
        BinaryHeader.FitsLabel(label)
            ? label
            : throw new VDiskException(FailureKind.Usage, "the label is longer than 47 bytes", null, "choose a shorter one");

    internal void Close() => _closed = true;

    private static string Name(int number) => number.ToString(CultureInfo.InvariantCulture);

    private static bool Contains(JsonArray numbers, int number) =>
        numbers.Any(item => item!.GetValue<string>() == Name(number));

    private static void Remove(JsonArray numbers, int number)
    {
        for (int i = numbers.Count - 1; i >= 0; i--)
        {
            if (numbers[i]!.GetValue<string>() == Name(number))
            {
                numbers.RemoveAt(i);
            }
        }
    }

    private static int FreeNumber(JsonObject section, string name)
    {
        for (int number = 0; number < Luks2Layout.MostObjects; number++)
        {
            if (!section.ContainsKey(Name(number)))
            {
                return number;
            }
        }

        throw new VDiskException(
            FailureKind.NoSpace, $"all {Luks2Layout.MostObjects} {name} are in use", $"LUKS2 header, JSON {name}",
            "remove one that is not needed");
    }

    private static VDiskException AddsAndRemoves() => new(
        FailureKind.Internal, "one update of a header both adds and removes keyslots, which a crash would lose");

    private void RequireOpen() => ObjectDisposedException.ThrowIf(_closed, this);

    private void RequireToken(int number)
    {
        RequireOpen();
        if (!Section("tokens").ContainsKey(Name(number)))
        {
            throw new VDiskException(FailureKind.NotFound, $"there is no token {number}", $"LUKS2 volume {_header.Uuid}");
        }
    }

    private JsonObject Section(string name) => Json[name]!.AsObject();

    private JsonObject DigestOfData()
    {
        LuksDigest digest = _header.Digests.First(candidate => candidate.Segments.Contains(_header.DataSegment.Number));
        return Section("digests")[Name(digest.Number)]!.AsObject();
    }

    /// <summary>The first gap that is large enough, areas in the making included.</summary>
    private long FindFreeArea(int byteCount)
    {
        long start = 2L * _header.HeaderByteSize;
        long end = _header.HeaderAndKeyslotsByteSize;
        IEnumerable<(long Start, long End)> used = _header.Keyslots
            .Select(keyslot => (keyslot.AreaByteOffset, keyslot.AreaByteOffset + keyslot.AreaByteLength))
            .Concat(_newAreas.Select(area => (area.ByteOffset, area.ByteOffset + RoundUp(area.Material.Length))))
            .OrderBy(area => area.Item1);
        foreach ((long usedStart, long usedEnd) in used)
        {
            if (usedStart - start >= byteCount)
            {
                break;
            }

            start = RoundUp(Math.Max(start, usedEnd));
        }

        return start <= end - byteCount
            ? start
            : throw new VDiskException(
                FailureKind.NoSpace, "the keyslots area has no room for another keyslot", "LUKS2 header, keyslots area",
                "remove a keyslot that is not needed");
    }

    private static long RoundUp(long value) =>
        (value + Luks2Layout.AreaAlignment - 1) / Luks2Layout.AreaAlignment * Luks2Layout.AreaAlignment;
}
