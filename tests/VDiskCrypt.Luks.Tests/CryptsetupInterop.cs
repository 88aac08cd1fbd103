using System.Text;
using System.Text.Json.Nodes;
using VDiskCrypt.Core;
using VDiskCrypt.Crypto;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Luks.Tests;

/// <summary>Both ways with the real cryptsetup.</summary>
public sealed class CryptsetupInterop : IDisposable
{
    private const long ImageByteLength = 20L << 20;

    private readonly ScratchFolder _scratch = new();

    public CryptsetupInterop()
    {
        ExternalTool.Require("cryptsetup");
        File.WriteAllText(_scratch["key"], "correct horse");
        File.WriteAllText(_scratch["key2"], "battery staple");
        File.WriteAllText(_scratch["wrong"], "wrong");
    }

    public static TheoryData<string, int, int> Kinds()
    {
        var data = new TheoryData<string, int, int>();
        foreach (string pbkdf in (string[])["pbkdf2", "argon2i", "argon2id"])
        {
            foreach (int sector in (int[])[512, 4096])
            {
                foreach (int keyBits in (int[])[256, 512])
                {
                    data.Add(pbkdf, sector, keyBits);
                }
            }
        }

        return data;
    }

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Opens_what_cryptsetup_makes(string pbkdf, int sectorByteSize, int keyBits)
    {
        string image = CryptsetupFormat(pbkdf, sectorByteSize, keyBits);
        using var device = new FileDevice(image);
        LuksHeader header = LuksHeader.Read(device);
        Assert.False(header.NeedsRepair);
        Assert.Equal(sectorByteSize, header.DataSegment.SectorByteSize);
        using LuksUnlock unlock = header.Unlock("correct horse"u8);
        Assert.Equal(keyBits / 8, unlock.VolumeKey.ByteCount);
        Assert.Equal(0, unlock.Keyslot);
        ToolResult dump = ExternalTool.Run(
            "cryptsetup", "luksDump", "--dump-volume-key", "--batch-mode", "--key-file", _scratch["key"],
            "--volume-key-file", _scratch["vk"], image).Succeeded();
        Assert.Equal(File.ReadAllBytes(_scratch["vk"]), unlock.VolumeKey.Span.ToArray());
        VDiskException wrong = Assert.Throws<VDiskException>(() => header.Unlock("wrong"u8));
        Assert.Equal(FailureKind.WrongCredential, wrong.Kind);
        Assert.Empty(dump.Error);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Cryptsetup_opens_what_we_make(string pbkdf, int sectorByteSize, int keyBits)
    {
        string image = _scratch["ours.img"];
        Create(image, Kdf(pbkdf), sectorByteSize, keyBits);
        TestPassphrase(image, "key").Succeeded();
        Assert.Equal(2, TestPassphrase(image, "wrong").ExitCode);
        JsonNode json = DumpJson(image);
        Assert.Equal(sectorByteSize, (int)json["segments"]!["0"]!["sector_size"]!);
        Assert.Equal(pbkdf, (string)json["keyslots"]!["0"]!["kdf"]!["type"]!);
        Assert.Equal("16744448", (string)json["config"]!["keyslots_size"]!);
        string dump = ExternalTool.Run("cryptsetup", "luksDump", image).Succeeded().Output;
        Assert.Contains("our label", dump);
        Assert.Contains("allow-discards", dump);
    }

    [Fact]
    public void Cryptsetup_changes_an_image_of_ours_and_we_go_on_with_it()
    {
        string image = _scratch["ours.img"];
        Create(image, Kdf("argon2id"), 4096, 512);
        ExternalTool.Run(
            "cryptsetup", "luksAddKey", "--batch-mode", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000",
            "--key-file", _scratch["key"], image, _scratch["key2"]).Succeeded();
        ExternalTool.Run(
            "cryptsetup", "token", "add", "--key-description", "some:key", "--key-slot", "1", image).Succeeded();
        using var device = new FileDevice(image);
        LuksHeader header = LuksHeader.Read(device);
        Assert.False(header.NeedsRepair);
        using LuksUnlock second = header.Unlock("battery staple"u8);
        Assert.Equal(1, second.Keyslot);
        Assert.Equal("luks2-keyring", Assert.Single(header.Tokens).Type);

        int third = header.AddKeyslot(second.VolumeKey, "third"u8, Kdf("pbkdf2"));
        Assert.Equal(2, third);
        ExternalTool.Run("cryptsetup", "luksRemoveKey", "--batch-mode", image, _scratch["key"]).Succeeded();
        VDiskException stale = Assert.Throws<VDiskException>(() => header.RemoveKeyslot(1));
        Assert.Equal(FailureKind.InUse, stale.Kind);
        header = LuksHeader.Read(device);
        Assert.Equal([1, 2], header.Keyslots.Select(keyslot => keyslot.Number));
        header.RemoveKeyslot(1);
        Assert.Empty(Assert.Single(header.Tokens).Keyslots);
        File.WriteAllText(_scratch["third"], "third");
        TestPassphrase(image, "third").Succeeded();
        Assert.Equal(2, TestPassphrase(image, "key2").ExitCode);
        Assert.Equal("luks2-keyring", (string)DumpJson(image)["tokens"]!["0"]!["type"]!);
    }

    [Fact]
    public void Cryptsetup_keeps_our_tokens_and_the_header_stays_authentic()
    {
        string image = _scratch["ours.img"];
        using SecretMemory volumeKey = Create(image, Kdf("pbkdf2"), 4096, 512);
        using var device = new FileDevice(image);
        LuksHeader header = LuksHeader.Read(device);
        var token = new JsonObject
        {
            ["type"] = HeaderAuthentication.TokenType,
            ["keyslots"] = new JsonArray((JsonNode)"0"),
            ["kek"] = "https://vault/keys/a/1",
            ["note"] = "slash / quote \" plus + umlaut ü \u0001",
            ["number"] = 12345678901L,
        };
        header.Update(edit =>
        {
            int number = edit.AddToken(token);
            byte[] code = edit.ComputeAuthentication(volumeKey);
            token[HeaderAuthentication.CodeMember] = Convert.ToBase64String(code);
            edit.ReplaceToken(number, token);
        });
        ExternalTool.Run(
            "cryptsetup", "luksAddKey", "--batch-mode", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000",
            "--key-file", _scratch["key"], image, _scratch["key2"]).Succeeded();
        ExternalTool.Run("cryptsetup", "luksKillSlot", "--batch-mode", image, "0", "--key-file", _scratch["key2"]).Succeeded();
        ExternalTool.Run("cryptsetup", "config", "--label", "renamed", image).Succeeded();

        header = LuksHeader.Read(device);
        Assert.Equal("renamed", header.Label);
        LuksToken kept = Assert.Single(header.Tokens);
        Assert.Equal((string)token["note"]!, (string)kept.Content["note"]!);
        byte[] stored = Convert.FromBase64String((string)kept.Content[HeaderAuthentication.CodeMember]!);
        Assert.True(HeaderAuthentication.Verify(header, volumeKey, stored));

        // The same number of iterations in another digest would be a forged header.
        header.Update(edit => edit.ReplaceToken(0, new JsonObject
        {
            ["type"] = HeaderAuthentication.TokenType,
            ["keyslots"] = new JsonArray(),
            ["kek"] = "https://evil/keys/a/1",
        }));
        Assert.False(HeaderAuthentication.Verify(header, volumeKey, stored));
    }

    [Fact]
    public void A_detached_header_of_ours_is_one_for_cryptsetup()
    {
        string image = _scratch["header.img"];
        using (var device = new FileDevice(image, 16L << 20))
        {
            using SecretMemory key = AesXtsKey.Generate(64);
            LuksHeader header = LuksFormat.Create(device, new LuksFormatParameters { DataByteOffset = 0 }, key);
            header.AddKeyslot(key, "correct horse"u8, LuksKdf.ForRandomSecret);
        }

        using (new FileDevice(_scratch["data.img"], 1 << 20))
        {
        }

        ExternalTool.Run(
            "cryptsetup", "open", "--test-passphrase", "--key-file", _scratch["key"], "--header", image, _scratch["data.img"])
            .Succeeded();
    }

    [Fact]
    public void Cryptsetup_accepts_a_repaired_copy()
    {
        string image = _scratch["ours.img"];
        Create(image, Kdf("pbkdf2"), 4096, 512).Dispose();
        using var device = new FileDevice(image);
        device.Write(4096 + 10, "damage"u8);
        LuksHeader header = LuksHeader.Read(device);
        Assert.Equal(HeaderCopyState.Damaged, header.PrimaryState);
        header.Repair();
        Assert.False(LuksHeader.Read(device).NeedsRepair);
        ToolResult result = ExternalTool.Run(
            "cryptsetup", "open", "--debug", "--test-passphrase", "--key-file", _scratch["key"], image).Succeeded();
        Assert.DoesNotContain("recover", result.Output);
    }

    [Theory]
    [InlineData(16384)]
    [InlineData(65536)]
    [InlineData(4194304)]
    public void Every_header_size_of_cryptsetup_is_read_and_written(int headerByteSize)
    {
        string image = _scratch["theirs.img"];
        using (new FileDevice(image, 40L << 20))
        {
        }

        ExternalTool.Run(
            "cryptsetup", "luksFormat", "--batch-mode", "--type", "luks2", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations",
            "1000", "--luks2-metadata-size", headerByteSize.ToString(), "--key-file", _scratch["key"], image).Succeeded();
        using var device = new FileDevice(image);
        LuksHeader header = LuksHeader.Read(device);
        Assert.Equal(headerByteSize, header.HeaderByteSize);
        using LuksUnlock unlock = header.Unlock("correct horse"u8);
        header.AddKeyslot(unlock.VolumeKey, "battery staple"u8, LuksKdf.ForRandomSecret);
        TestPassphrase(image, "key2").Succeeded();
    }

    private static LuksKdf Kdf(string name) => name switch
    {
        "pbkdf2" => LuksKdf.ForRandomSecret,
        "argon2i" => new LuksKdf.Argon2(new Argon2Parameters(Argon2Variant.Argon2i, 4, 64, 2)),
        _ => new LuksKdf.Argon2(new Argon2Parameters(Argon2Variant.Argon2id, 4, 64, 2)),
    };

    private static SecretMemory Create(string image, LuksKdf kdf, int sectorByteSize, int keyBits)
    {
        using var device = new FileDevice(image, ImageByteLength);
        SecretMemory key = AesXtsKey.Generate(keyBits / 8);
        LuksHeader header = LuksFormat.Create(
            device, new LuksFormatParameters { SectorByteSize = sectorByteSize, Label = "our label", AllowDiscards = true }, key);
        header.AddKeyslot(key, Encoding.UTF8.GetBytes("correct horse"), kdf);
        return key;
    }

    private string CryptsetupFormat(string pbkdf, int sectorByteSize, int keyBits)
    {
        string image = _scratch["theirs.img"];
        using (new FileDevice(image, ImageByteLength))
        {
        }

        string[] cost = pbkdf == "pbkdf2"
            ? ["--pbkdf-force-iterations", "1000"]
            : ["--pbkdf-force-iterations", "4", "--pbkdf-memory", "64", "--pbkdf-parallel", "2"];
        string[] arguments =
        [
            "luksFormat", "--batch-mode", "--type", "luks2", "--pbkdf", pbkdf, "--sector-size", $"{sectorByteSize}",
            "--key-size", $"{keyBits}", "--key-file", _scratch["key"], image, .. cost,
        ];
        ExternalTool.Run("cryptsetup", arguments).Succeeded();
        return image;
    }

    private ToolResult TestPassphrase(string image, string keyName) =>
        ExternalTool.Run("cryptsetup", "open", "--test-passphrase", "--key-file", _scratch[keyName], image);

    private static JsonNode DumpJson(string image) =>
        JsonNode.Parse(ExternalTool.Run("cryptsetup", "luksDump", "--dump-json-metadata", image).Succeeded().Output)!;
}
