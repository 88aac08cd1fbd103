using System.Text.Json.Nodes;
using VDiskCrypt.Core;
using VDiskCrypt.Crypto;
using Xunit;

namespace VDiskCrypt.Luks.Tests;

/// <summary>
/// A valid header plus one named mutation, its checksums recomputed, and the verdict: which failure, and whether already
/// at reading or at the unlock.
/// </summary>
public sealed class HostileHeaders
{
    private const int DeviceByteLength = 17 << 20;

    private static readonly byte[] Template = CreateTemplate();

    private static readonly Dictionary<string, (string Verdict, Action<MemoryDevice> Mutate)> Table = new()
    {
        ["nothing changed"] = ("opens", Json(_ => { })),
        ["an unknown token"] = ("opens", Json(j => j["tokens"]!["7"] = Parse("""{"type":"foo","keyslots":["0"],"x":{"y":[1.5,null,true]}}"""))),
        ["an unknown top-level member"] = ("opens", Json(j => j["future"] = Parse("""{"a":1}"""))),
        ["a token of thirty levels"] = ("opens", Json(j => j["tokens"]!["0"] = Parse($$"""{"type":"t","keyslots":[],"d":{{new string('[', 28)}}{{new string(']', 28)}}}"""))),
        ["an unbound keyslot of another type"] = ("opens", Json(j => j["keyslots"]!["5"] = Parse("""{"type":"reencrypt","key_size":1,"mode":"reencrypt","direction":"forward","area":{"type":"none","offset":"1048576","size":"4096"}}"""))),

        ["the null cipher in the segment"] = ("NotPermitted at reading", Json(j => j["segments"]!["0"]!["encryption"] = "cipher_null-ecb")),
        ["the null cipher in a keyslot"] = ("NotPermitted at reading", Json(j => j["keyslots"]!["0"]!["area"]!["encryption"] = "cipher_null-ecb")),
        ["another cipher in the segment"] = ("Unsupported at use", Json(j => j["segments"]!["0"]!["encryption"] = "serpent-xts-plain64")),
        ["plain instead of plain64"] = ("Unsupported at use", Json(j => j["segments"]!["0"]!["encryption"] = "aes-xts-plain")),
        ["another cipher in the keyslot"] = ("Unsupported at use", Json(j => j["keyslots"]!["0"]!["area"]!["encryption"] = "aes-cbc-essiv:sha256")),
        ["an integrity layer"] = ("Unsupported at use", Json(j => j["segments"]!["0"]!["integrity"] = Parse("""{"type":"hmac(sha256)","journal_encryption":"none","journal_integrity":"none"}"""))),
        ["an unknown requirement"] = ("Unsupported at use", Json(j => j["config"]!["requirements"] = Parse("""{"mandatory":["quantum"]}"""))),
        ["a re-encryption under way"] = ("Unsupported at use", Json(j => j["config"]!["requirements"] = Parse("""{"mandatory":["online-reencrypt-v2"]}"""))),
        ["two data segments"] = ("Unsupported at use", Json(j =>
        {
            j["segments"]!["0"]!["size"] = "4096";
            j["segments"]!["1"] = Parse("""{"type":"linear","offset":"16781312","size":"dynamic"}""");
        })),
        ["an unknown hash of PBKDF2"] = ("Unsupported at use", Json(j => j["keyslots"]!["0"]!["kdf"]!["hash"] = "whirlpool")),
        ["an unknown key derivation"] = ("Unsupported at use", Json(j => j["keyslots"]!["0"]!["kdf"]!["type"] = "scrypt")),
        ["two thousand million iterations"] = ("Unsupported at use", Json(j => j["keyslots"]!["0"]!["kdf"]!["iterations"] = 2000000000)),
        ["two thousand million digest iterations"] = ("Unsupported at use", Json(j => j["digests"]!["0"]!["iterations"] = 2000000000)),
        ["a digest of another type"] = ("Unsupported at use", Json(j => j["digests"]!["0"]!["type"] = "argon2")),
        ["Argon2 with 4 TiB"] = ("Unsupported at use", Json(j => j["keyslots"]!["0"]!["kdf"] = Argon2(4, int.MaxValue, 4))),
        ["Argon2 with a million passes over a GiB"] = ("Unsupported at use", Json(j => j["keyslots"]!["0"]!["kdf"] = Argon2(1000000, 1 << 20, 4))),
        ["Argon2 with no lane"] = ("Unsupported at use", Json(j => j["keyslots"]!["0"]!["kdf"] = Argon2(4, 1024, 0))),
        ["one stripe"] = ("Unsupported at use", Json(j => j["keyslots"]!["0"]!["af"]!["stripes"] = 1)),
        ["a volume key of 16 bytes"] = ("Unsupported at use", Json(j => j["keyslots"]!["0"]!["key_size"] = 16)),
        ["a huge volume key"] = ("Unsupported at use", Json(j => j["keyslots"]!["0"]!["key_size"] = int.MaxValue)),
        ["no keyslot"] = ("NotFound at use", Json(j =>
        {
            j["keyslots"] = new JsonObject();
            j["digests"]!["0"]!["keyslots"] = new JsonArray();
        })),
        ["a keyslot that the digest does not name"] = ("NotFound at use", Json(j => j["digests"]!["0"]!["keyslots"] = new JsonArray())),
        ["another digest value"] = ("WrongCredential at use", Json(j => j["digests"]!["0"]!["digest"] = Convert.ToBase64String(new byte[32]))),

        ["an area inside the header"] = ("Damaged at reading", Json(j => j["keyslots"]!["0"]!["area"]!["offset"] = "16384")),
        ["an area behind the keyslots area"] = ("Damaged at reading", Json(j => j["keyslots"]!["0"]!["area"]!["offset"] = "16777216")),
        ["an area at the end of all numbers"] = ("Damaged at reading", Json(j => j["keyslots"]!["0"]!["area"]!["offset"] = "18446744073709547520")),
        ["an area beyond 64 bits"] = ("Damaged at reading", Json(j => j["keyslots"]!["0"]!["area"]!["offset"] = "18446744073709551616")),
        ["an area whose end wraps"] = ("Damaged at reading", Json(j => j["keyslots"]!["0"]!["area"]!["size"] = "9223372036854775807")),
        ["an empty area"] = ("Damaged at reading", Json(j => j["keyslots"]!["0"]!["area"]!["size"] = "0")),
        ["an area too small for its key"] = ("Damaged at reading", Json(j => j["keyslots"]!["0"]!["area"]!["size"] = "4096")),
        ["overlapping areas"] = ("Damaged at reading", Json(j => j["keyslots"]!["1"] = j["keyslots"]!["0"]!.DeepClone())),
        ["a negative area"] = ("Damaged at reading", Json(j => j["keyslots"]!["0"]!["area"]!["offset"] = "-32768")),
        ["an area offset as a number"] = ("Damaged at reading", Json(j => j["keyslots"]!["0"]!["area"]!["offset"] = 32768)),
        ["an area offset in hexadecimal"] = ("Damaged at reading", Json(j => j["keyslots"]!["0"]!["area"]!["offset"] = "0x8000")),
        ["an area offset with a space"] = ("Damaged at reading", Json(j => j["keyslots"]!["0"]!["area"]!["offset"] = " 32768")),
        ["no area"] = ("Damaged at reading", Json(j => j["keyslots"]!["0"]!.AsObject().Remove("area"))),
        ["no splitter"] = ("Damaged at reading", Json(j => j["keyslots"]!["0"]!.AsObject().Remove("af"))),
        ["no key derivation"] = ("Damaged at reading", Json(j => j["keyslots"]!["0"]!.AsObject().Remove("kdf"))),
        ["a salt of one byte"] = ("Damaged at reading", Json(j => j["keyslots"]!["0"]!["kdf"]!["salt"] = "AA==")),
        ["a salt that is not base64"] = ("Damaged at reading", Json(j => j["keyslots"]!["0"]!["kdf"]!["salt"] = "!!!!")),
        ["a salt of a megabyte in a text"] = ("Damaged at reading", Json(j => j["keyslots"]!["0"]!["kdf"]!["salt"] = new string('A', 8000))),
        ["no iterations"] = ("Damaged at reading", Json(j => j["keyslots"]!["0"]!["kdf"]!["iterations"] = 0)),
        ["negative iterations"] = ("Damaged at reading", Json(j => j["keyslots"]!["0"]!["kdf"]!["iterations"] = -5)),
        ["iterations with a fraction"] = ("Damaged at reading", Json(j => j["keyslots"]!["0"]!["kdf"]!["iterations"] = 1000.5)),
        ["iterations as a text"] = ("Damaged at reading", Json(j => j["keyslots"]!["0"]!["kdf"]!["iterations"] = "1000")),
        ["iterations beyond 64 bits"] = ("Damaged at reading", Text(t => t.Replace("\"iterations\":1000", "\"iterations\":99999999999999999999"))),
        ["a negative key size"] = ("Damaged at reading", Json(j => j["keyslots"]!["0"]!["key_size"] = -64)),
        ["a priority of seven"] = ("Damaged at reading", Json(j => j["keyslots"]!["0"]!["priority"] = 7)),
        ["keyslot 32"] = ("Damaged at reading", Json(j => Rename(j["keyslots"]!, "0", "32"))),
        ["keyslot 00"] = ("Damaged at reading", Json(j => Rename(j["keyslots"]!, "0", "00"))),
        ["keyslot minus one"] = ("Damaged at reading", Json(j => Rename(j["keyslots"]!, "0", "-1"))),
        ["a keyslot that is an array"] = ("Damaged at reading", Json(j => j["keyslots"]!["3"] = new JsonArray())),
        ["a keyslot that is null"] = ("Damaged at reading", Json(j => j["keyslots"]!["3"] = null)),
        ["no keyslots section"] = ("Damaged at reading", Json(j => j.AsObject().Remove("keyslots"))),
        ["no segment"] = ("Damaged at reading", Json(j => j["segments"] = new JsonObject())),
        ["only a backup segment"] = ("Damaged at reading", Json(j => j["segments"]!["0"]!["flags"] = new JsonArray((JsonNode)"backup-final"))),
        ["segment 1 without segment 0"] = ("Damaged at reading", Json(j => Rename(j["segments"]!, "0", "1"))),
        ["overlapping segments"] = ("Damaged at reading", Json(j => j["segments"]!["1"] = Parse("""{"type":"linear","offset":"16777216","size":"dynamic"}"""))),
        ["a segment inside the keyslots area"] = ("Damaged at reading", Json(j => j["segments"]!["0"]!["offset"] = "1048576")),
        ["a segment at an odd byte"] = ("Damaged at reading", Json(j => j["segments"]!["0"]!["offset"] = "16777217")),
        ["a segment of no size"] = ("Damaged at reading", Json(j => j["segments"]!["0"]!["size"] = "0")),
        ["a segment of half a sector"] = ("Damaged at reading", Json(j => j["segments"]!["0"]!["size"] = "2048")),
        ["a segment whose end wraps"] = ("Damaged at reading", Json(j => j["segments"]!["0"]!["size"] = "9223372036854771712")),
        ["a segment longer than the device"] = ("Damaged at use", Json(j => j["segments"]!["0"]!["size"] = "1099511627776")),
        ["a segment behind the device"] = ("Damaged at use", Json(j => j["segments"]!["0"]!["offset"] = "1099511627776")),
        ["a sector of 513 bytes"] = ("Damaged at reading", Json(j => j["segments"]!["0"]!["sector_size"] = 513)),
        ["a sector of 8192 bytes"] = ("Damaged at reading", Json(j => j["segments"]!["0"]!["sector_size"] = 8192)),
        ["a sector of no bytes"] = ("Damaged at reading", Json(j => j["segments"]!["0"]!["sector_size"] = 0)),
        ["a tweak that is no number"] = ("Damaged at reading", Json(j => j["segments"]!["0"]!["iv_tweak"] = "zero")),
        ["segment flags that are numbers"] = ("Damaged at reading", Json(j => j["segments"]!["0"]!["flags"] = new JsonArray(1))),
        ["a segment without a digest"] = ("Damaged at reading", Json(j => j["digests"]!["0"]!["segments"] = new JsonArray())),
        ["a digest that names a missing keyslot"] = ("Damaged at reading", Json(j => j["digests"]!["0"]!["keyslots"] = new JsonArray((JsonNode)"9"))),
        ["a digest that names a missing segment"] = ("Damaged at reading", Json(j => j["digests"]!["0"]!["segments"]!.AsArray().Add((JsonNode)"9"))),
        ["a digest of five bytes"] = ("Damaged at reading", Json(j => j["digests"]!["0"]!["digest"] = "AAAAAAA=")),
        ["a token that names a missing keyslot"] = ("Damaged at reading", Json(j => j["tokens"]!["0"] = Parse("""{"type":"t","keyslots":["9"]}"""))),
        ["a token without keyslots"] = ("Damaged at reading", Json(j => j["tokens"]!["0"] = Parse("""{"type":"t"}"""))),
        ["a token without a type"] = ("Damaged at reading", Json(j => j["tokens"]!["0"] = Parse("""{"keyslots":[]}"""))),
        ["a JSON size that contradicts the binary header"] = ("Damaged at reading", Json(j => j["config"]!["json_size"] = "16384")),
        ["a keyslots area of an odd size"] = ("Damaged at reading", Json(j => j["config"]!["keyslots_size"] = "16744449")),
        ["a keyslots area of 256 MiB"] = ("Damaged at reading", Json(j => j["config"]!["keyslots_size"] = "268435456")),
        ["requirements that are a text"] = ("Damaged at reading", Json(j => j["config"]!["requirements"] = "none")),
        ["requirements that are numbers"] = ("Damaged at reading", Json(j => j["config"]!["requirements"] = Parse("""{"mandatory":[1]}"""))),
        ["config flags that are an object"] = ("Damaged at reading", Json(j => j["config"]!["flags"] = new JsonObject())),

        ["an empty JSON area"] = ("Damaged at reading", Text(_ => "")),
        ["a JSON area without an end"] = ("Damaged at reading", Text(t => t + new string(' ', 20000))),
        ["bytes behind the JSON"] = ("Damaged at reading", Text(t => t + "\0x")),
        ["a space before the JSON"] = ("Damaged at reading", Text(t => " " + t)),
        ["a second object behind the JSON"] = ("Damaged at reading", Text(t => t + "{}")),
        ["a JSON array"] = ("Damaged at reading", Text(_ => "[]")),
        ["truncated JSON"] = ("Damaged at reading", Text(t => t[..^1])),
        ["a hundred levels"] = ("Damaged at reading", Json(j => j["tokens"]!["0"] = Parse($$"""{"type":"t","keyslots":[],"d":{{new string('[', 60)}}{{new string(']', 60)}}}"""))),
        ["a duplicate section"] = ("Damaged at reading", Text(t => t[..^1] + ",\"tokens\":{}}")),
        ["a lone surrogate"] = ("Damaged at reading", Text(t => t.Replace("\"tokens\":{}", "\"tokens\":{\"0\":{\"type\":\"\\ud800\",\"keyslots\":[]}}"))),
        ["a byte that is not UTF-8"] = ("Damaged at reading", Text(t => t.Replace("\"tokens\":{}", "\"tokens\":{\"0\":{\"type\":\"\u00ff\",\"keyslots\":[]}}"))),

        ["version 3"] = ("Damaged at reading", Bytes((b, at) => b[at + 7] = 3)),
        ["a header of 5000 bytes"] = ("Damaged at reading", Bytes((b, at) => { b[at + 14] = 0x13; b[at + 15] = 0x88; })),
        ["a header of all the numbers"] = ("Damaged at reading", Bytes((b, at) => b.AsSpan(at + 8, 8).Fill(0xFF))),
        ["a wrong own offset"] = ("Damaged at reading", Bytes((b, at) => b[at + 256] = 1)),
        ["another checksum algorithm"] = ("Damaged at reading", Bytes((b, at) => "sha512"u8.CopyTo(b.AsSpan(at + 72)))),
        ["a label without an end"] = ("Damaged at reading", Bytes((b, at) => b.AsSpan(at + 24, 48).Fill((byte)'x'))),
        ["a label that is not UTF-8"] = ("Damaged at reading", Bytes((b, at) => b[at + 24] = 0xFF)),
    };

    public static TheoryData<string> Mutations() => [.. Table.Keys];

    [Theory]
    [MemberData(nameof(Mutations))]
    public void Gets_its_verdict(string mutation)
    {
        (string verdict, Action<MemoryDevice> mutate) = Table[mutation];
        using var device = new MemoryDevice([.. Template]);
        mutate(device);
        Assert.Equal(verdict, Judge(device));
    }

    /// <summary>Any bytes at all: a valid header with random damage that the checksum then covers.</summary>
    [Fact]
    public void Random_damage_to_the_JSON_is_a_failure_with_a_name_or_harmless()
    {
        int seed = Environment.TickCount;
        var random = new Random(seed);
        using var device = new MemoryDevice(DeviceByteLength);
        for (int i = 0; i < 3000; i++)
        {
            Template.AsSpan(0, 65536).CopyTo(device.Bytes);
            HeaderImage.ChangeText(device, text =>
            {
                char[] characters = text.ToCharArray();
                for (int n = random.Next(1, 4); n > 0; n--)
                {
                    characters[random.Next(characters.Length)] = random.Next(3) == 0 ? (char)random.Next(1, 256) : "0123456789\"{}[],:-.e"[random.Next(20)];
                }

                return new string(characters);
            });
            try
            {
                LuksHeader header = LuksHeader.Read(device);
                Assert.NotNull(header.MetadataText);
                Assert.InRange(header.Keyslots.Count, 0, 32);
            }
            catch (VDiskException e)
            {
                Assert.True(e.Kind is FailureKind.Damaged or FailureKind.NotPermitted, $"seed {seed}: {e.Kind} {e.Message}");
                Assert.False(string.IsNullOrEmpty(e.Where), $"seed {seed}: {e.Message}");
            }
            catch (Exception e)
            {
                Assert.Fail($"seed {seed}: {e}");
            }
        }
    }

    private static string Judge(MemoryDevice device)
    {
        LuksHeader header;
        try
        {
            header = LuksHeader.Read(device);
        }
        catch (VDiskException e)
        {
            Assert.NotNull(e.Where);
            return $"{e.Kind} at reading";
        }

        try
        {
            using LuksUnlock unlock = header.Unlock("pass"u8);
            LuksVolumeDevice.Open(header, unlock.VolumeKey, device).Dispose();
            return "opens";
        }
        catch (VDiskException e)
        {
            Assert.NotNull(e.Where);
            return $"{e.Kind} at use";
        }
    }

    private static byte[] CreateTemplate()
    {
        using var device = new MemoryDevice(DeviceByteLength);
        using SecretMemory key = AesXtsKey.Generate(64);
        LuksHeader header = LuksFormat.Create(device, new LuksFormatParameters { OverwriteKeyslotsArea = false }, key);
        header.AddKeyslot(key, "pass"u8, LuksKdf.ForRandomSecret);
        return device.Bytes;
    }

    private static Action<MemoryDevice> Json(Action<JsonNode> change) => device => HeaderImage.Change(device, change);

    private static Action<MemoryDevice> Text(Func<string, string> change) => device => HeaderImage.ChangeText(device, change);

    private static Action<MemoryDevice> Bytes(Action<byte[], int> change) => device => HeaderImage.ChangeBytes(device, change);

    private static JsonNode Parse(string text) => JsonNode.Parse(text)!;

    private static JsonNode Argon2(int time, int memory, int cpus) => new JsonObject
    {
        ["type"] = "argon2id",
        ["time"] = time,
        ["memory"] = memory,
        ["cpus"] = cpus,
        ["salt"] = Convert.ToBase64String(new byte[32]),
    };

    private static void Rename(JsonNode section, string from, string to)
    {
        JsonNode value = section[from]!;
        section.AsObject().Remove(from);
        section[to] = value;
    }
}
