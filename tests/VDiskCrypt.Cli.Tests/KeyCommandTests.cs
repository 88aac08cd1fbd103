using System.Text.Json;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Cli.Tests;

/// <summary>`key`: what opens a volume is listed, tested, added, rotated and removed.</summary>
public sealed class KeyCommandTests : IDisposable
{
    private readonly Installation _here = new();

    public void Dispose() => _here.Dispose();

    [Fact]
    public void A_passphrase_a_key_file_a_recovery_key_and_a_KEK_are_added_and_each_opens()
    {
        string image = _here.Create("disk.vhdx");
        File.WriteAllText(_here["second"], "another one");
        File.WriteAllBytes(_here["raw"], [1, 2, 3, 10]);
        Add(image, "--new-passphrase-file", _here["second"], "--pbkdf", "pbkdf2", "--iter-time", "10");
        Add(image, "--new-key-file", _here["raw"], "--pbkdf", "pbkdf2", "--iter-time", "10");
        File.WriteAllText(_here["recovery"], Add(image, "--new-recovery-key").GetProperty("recoveryKey").GetString()!);
        Add(image, "--new-kek", "platform:");
        Assert.Equal(1, Tested(image, "--passphrase-file", _here["second"]).GetProperty("keyslot").GetInt32());
        Assert.Equal(2, Tested(image, "--key-file", _here["raw"]).GetProperty("keyslot").GetInt32());
        Assert.Equal(3, Tested(image, "--passphrase-file", _here["recovery"]).GetProperty("keyslot").GetInt32());
        JsonElement byKek = Tested(image);
        Assert.Equal(4, byKek.GetProperty("keyslot").GetInt32());
        Assert.StartsWith("platform:default/", byKek.GetProperty("by").GetString());
        JsonElement[] keys = [.. _here.Json("key", "list", image).GetProperty("keys").EnumerateArray()];
        Assert.Equal([0, 0, 0, 0, 1], keys.Select(key => key.GetProperty("keks").GetArrayLength()));
        File.WriteAllText(_here["wrong"], "wrong");
        _here.Expect(4, "key", "test", image, "--key-file", _here["wrong"]);
    }

    [Fact]
    public void A_platform_key_is_rotated_to_a_key_file_and_a_second_run_has_nothing_to_do()
    {
        string image = _here.Create("disk.img", "64M", "--kek", "platform:");
        File.WriteAllBytes(_here["kek"], new byte[32]);
        File.SetUnixFileMode(_here["kek"], UnixFileMode.UserRead | UnixFileMode.UserWrite);
        string newKek = "file:" + _here["kek"];
        byte[] before = File.ReadAllBytes(image);
        JsonElement plan = _here.Json("key", "rotate", image, "--kek", "platform:", "--new-kek", newKek, "--dry-run");
        Assert.StartsWith("platform:default/", plan.GetProperty("dropped")[0].GetString());
        Assert.Equal(before, File.ReadAllBytes(image));
        _here.Expect(0, "key", "rotate", image, "--kek", "platform:", "--new-kek", newKek);
        Assert.Equal(newKek, Tested(image).GetProperty("by").GetString());
        JsonElement again = _here.Json("key", "rotate", image, "--kek", "platform:", "--new-kek", newKek);
        Assert.False(again.GetProperty("addsKeyslot").GetBoolean());
        Assert.Equal(0, again.GetProperty("dropped").GetArrayLength());
        Assert.Single(Directory.GetFiles(Path.Combine(_here["data"], "headers")));
        _here.Expect(3, "key", "rotate", image, "--kek", "platform:", "--new-kek", "platform:other", "--passphrase-file", _here["passphrase"]);
    }

    [Fact]
    public void Removing_needs_a_credential_that_stays_and_force_for_the_last_but_one()
    {
        string image = _here.Create("disk.img", "64M", "--kek", "platform:");
        string[] secret = ["--passphrase-file", _here["passphrase"]];
        _here.Expect(2, ["key", "remove", image, .. secret]);
        _here.Expect(3, ["key", "remove", image, "--keyslot", "9", .. secret]);
        _here.Expect(11, ["key", "remove", image, "--kek", "platform:", .. secret]);
        _here.Expect(0, ["key", "remove", image, "--kek", "platform:", "--force", .. secret]);
        _here.Expect(11, ["key", "remove", image, "--keyslot", "0", "--force", .. secret]);
        _here.Expect(3, ["key", "remove", image, "--kek", "platform:", "--force", .. secret]);
        _here.Expect(0, ["key", "test", image, .. secret]);
        ExternalTool.Require("cryptsetup");
        Assert.DoesNotContain("1: luks2", ExternalTool.Run("cryptsetup", "luksDump", image).Succeeded().Output);
    }

    private JsonElement Add(string image, params string[] options) =>
        _here.Json(["key", "add", image, "--passphrase-file", _here["passphrase"], .. options]);

    private JsonElement Tested(string image, params string[] options) => _here.Json(["key", "test", image, .. options]);
}
