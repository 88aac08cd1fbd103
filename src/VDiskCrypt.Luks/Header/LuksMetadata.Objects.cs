using VDiskCrypt.Core;
using VDiskCrypt.Crypto;

namespace VDiskCrypt.Luks;

internal sealed partial class LuksMetadata
{
    private static LuksToken ParseToken(int number, JsonFields fields, HashSet<int> keyslotNumbers) =>
        new(number, fields.Text("type"), fields.References("keyslots", keyslotNumbers), fields.Members);

    private static LuksDigest ParseDigest(
        int number, JsonFields fields, HashSet<int> keyslotNumbers, HashSet<int> segmentNumbers)
    {
        string type = fields.Text("type");
        bool computable = type == "pbkdf2";
        int iterations = computable ? (int)fields.Integer("iterations", 1, int.MaxValue) : 0;
        return new LuksDigest
        {
            Number = number,
            Type = type,
            Keyslots = fields.References("keyslots", keyslotNumbers),
            Segments = fields.References("segments", segmentNumbers),
            Hash = computable && iterations <= Pbkdf2.MostIterations ? LuksNames.FindHash(fields.Text("hash")) : null,
            Iterations = iterations,
            Salt = computable ? fields.Base64("salt", Luks2Layout.SaltByteCount, Luks2Layout.SaltByteCount) : [],
            // 20 bytes at least, as LUKS1 had them.
            Value = computable ? fields.Base64("digest", 20, 64) : [],
        };
    }

    private static LuksSegment ParseSegment(int number, JsonFields fields)
    {
        string type = fields.Text("type");
        bool encrypted = type == "crypt";
        long byteOffset = fields.Bytes("offset");
        long? byteLength = fields.Text("size") == "dynamic" ? null : fields.Bytes("size");
        int sectorByteSize = encrypted ? (int)fields.Integer("sector_size", 1, 4096) : 0;
        string encryption = encrypted ? fields.Text("encryption") : "";
        if (encrypted && !Luks2Layout.IsSectorByteSize(sectorByteSize))
        {
            throw fields.Place["sector_size"].Damaged($"a sector size of {sectorByteSize} bytes");
        }

        if (Luks2Layout.IsNullCipher(encryption))
        {
            throw NullCipher(fields.Place["encryption"]);
        }

        if (byteOffset % Luks2Layout.TweakUnitByteSize != 0)
        {
            throw fields.Place["offset"].Damaged("the offset is not a multiple of 512 bytes");
        }

        if (byteLength is long length
            && (length == 0 || length > long.MaxValue - byteOffset
                || length % Math.Max(sectorByteSize, Luks2Layout.TweakUnitByteSize) != 0))
        {
            throw fields.Place["size"].Damaged("the size is zero, too large, or not a multiple of the sector size");
        }

        return new LuksSegment
        {
            Number = number,
            Type = type,
            ByteOffset = byteOffset,
            ByteLength = byteLength,
            TweakOffset = encrypted ? fields.Number("iv_tweak") : 0,
            Encryption = encryption,
            SectorByteSize = sectorByteSize,
            HasIntegrity = fields.Has("integrity"),
            Flags = fields.Has("flags") ? fields.Texts("flags") : [],
        };
    }

    private static LuksKeyslot ParseKeyslot(int number, JsonFields fields)
    {
        string type = fields.Text("type");
        int keyByteCount = (int)fields.Integer("key_size", 0, int.MaxValue);
        JsonFields area = fields.Object("area");
        var keyslot = new LuksKeyslot
        {
            Number = number,
            Type = type,
            KeyByteCount = keyByteCount,
            Priority = fields.Has("priority")
                ? (LuksKeyslotPriority)fields.Integer("priority", 0, 2)
                : LuksKeyslotPriority.Normal,
            AreaByteOffset = area.Bytes("offset"),
            AreaByteLength = area.Bytes("size"),
            AreaEncryption = "",
            AreaKeyByteCount = 0,
            Kdf = null,
            SplitterHash = null,
            UnsupportedReason = $"keyslot type {type}",
            Salt = [],
        };
        area.Text("type");
        return type == "luks2" ? ParsePassphraseKeyslot(keyslot, fields, area) : keyslot;
    }

    private static LuksKeyslot ParsePassphraseKeyslot(LuksKeyslot keyslot, JsonFields fields, JsonFields area)
    {
        JsonFields kdf = fields.Object("kdf");
        JsonFields splitter = fields.Object("af");
        string splitterType = splitter.Text("type");
        string splitterHash = splitter.Text("hash");
        long stripes = splitter.Integer("stripes", 1, int.MaxValue);
        string encryption = area.Text("encryption");
        int areaKeyByteCount = (int)area.Integer("key_size", 0, int.MaxValue);
        if (Luks2Layout.IsNullCipher(encryption))
        {
            throw NullCipher(area.Place["encryption"]);
        }

        LuksKdf? parsed = ParseKdf(kdf, out string? kdfObjection);
        string? reason = kdfObjection
            ?? (splitterType != "luks1" || stripes != Luks2Layout.Stripes ? "its anti-forensic splitter" : null)
            ?? (LuksNames.FindHash(splitterHash) is null ? $"hash {splitterHash}" : null)
            ?? (area.Text("type") != "raw" ? "its kind of area" : null)
            ?? (encryption != Luks2Layout.AesXtsPlain64 ? $"area cipher {encryption}" : null)
            ?? (!AesXtsKey.IsKeyByteCount(areaKeyByteCount) ? $"area key of {areaKeyByteCount} bytes" : null)
            ?? (!AesXtsKey.IsKeyByteCount(keyslot.KeyByteCount) ? $"volume key of {keyslot.KeyByteCount} bytes" : null);
        if (reason is null && KeyslotArea.MaterialByteCount(keyslot.KeyByteCount) > keyslot.AreaByteLength)
        {
            throw area.Place["size"].Damaged("the area is too small for its key");
        }

        return keyslot with
        {
            AreaEncryption = encryption,
            AreaKeyByteCount = areaKeyByteCount,
            Kdf = parsed,
            SplitterHash = LuksNames.FindHash(splitterHash),
            UnsupportedReason = reason,
            Salt = kdf.Base64("salt", Luks2Layout.SaltByteCount, Luks2Layout.SaltByteCount),
        };
    }

    private static LuksKdf? ParseKdf(JsonFields kdf, out string? objection)
    {
        string type = kdf.Text("type");
        objection = null;
        switch (type)
        {
            case "pbkdf2":
                int iterations = (int)kdf.Integer("iterations", 1, int.MaxValue);
                string name = kdf.Text("hash");
                KdfHash? hash = LuksNames.FindHash(name);
                objection = hash is null ? $"hash {name}"
                    : iterations > Pbkdf2.MostIterations ? $"{iterations} iterations, which would take too long"
                    : null;
                return objection is null ? new LuksKdf.Pbkdf2(hash!.Value, iterations) : null;
            case "argon2i" or "argon2id":
                var parameters = new Argon2Parameters(
                    type == "argon2i" ? Argon2Variant.Argon2i : Argon2Variant.Argon2id,
                    (int)kdf.Integer("time", 0, int.MaxValue),
                    (int)kdf.Integer("memory", 0, int.MaxValue),
                    (int)kdf.Integer("cpus", 0, int.MaxValue));
                objection = parameters.Objection;
                return objection is null ? new LuksKdf.Argon2(parameters) : null;
            default:
                objection = $"key derivation {type}";
                return null;
        }
    }

    private static VDiskException NullCipher(JsonPlace place) => new(
        FailureKind.NotPermitted, "the header names a null cipher, which encrypts nothing",
        $"{place.Header} at byte {place.ByteOffset}, JSON {place.Path}",
        "do not use this image: someone may have changed its header; restore the header from a backup");
}
