using System.Text.Json;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Cli.Tests;

/// <summary>`erase`: nothing in the image opens it afterwards.</summary>
public sealed class EraseTests : IDisposable
{
    private readonly Installation _here = new();

    public void Dispose() => _here.Dispose();

    [Fact]
    public void An_erased_volume_opens_with_nothing_and_its_old_header_backup_is_named_and_still_opens()
    {
        ExternalTool.Require("cryptsetup");
        string image = _here.Create("disk.img", "64M", "--kek", "platform:");
        string[] secret = ["--passphrase-file", _here["passphrase"]];
        _here.Expect(0, ["key", "remove", image, "--kek", "platform:", "--force", .. secret]);
        byte[] before = File.ReadAllBytes(image);
        JsonElement erased = _here.Json("erase", image, "--yes");
        string backup = erased.GetProperty("headerBackups")[0].GetString()!;
        Assert.Equal(1, erased.GetProperty("keyslotsErased").GetInt32());
        ToolResult dump = ExternalTool.Run("cryptsetup", "luksDump", image).Succeeded();
        Assert.DoesNotContain("vdiskcrypt", dump.Output);
        Assert.DoesNotContain("0: luks2", dump.Output);
        Assert.NotEqual(0, ExternalTool.Run("cryptsetup", "open", "--test-passphrase", "--key-file", _here["passphrase"], image).ExitCode);
        Assert.NotEqual(0, _here.Run(["key", "test", image, .. secret]).ExitCode);
        byte[] after = File.ReadAllBytes(image);
        const int FirstKeyslot = 2 * 16384;
        int same = Enumerable.Range(FirstKeyslot, 258048).Count(i => before[i] == after[i]);
        Assert.InRange(same, 0, 258048 / 100);
        Assert.Equal(before.AsSpan(16 << 20).ToArray(), after.AsSpan(16 << 20).ToArray());
        ExternalTool.Run("cryptsetup", "luksHeaderRestore", "--batch-mode", "--header-backup-file", backup, image).Succeeded();
        _here.Expect(0, ["key", "test", image, .. secret]);
    }

    [Fact]
    public void Without_a_confirmation_nothing_is_erased()
    {
        string image = _here.Create("disk.img");
        byte[] before = File.ReadAllBytes(image);
        ToolResult refused = _here.Run([], "erase", image);
        Assert.Equal(2, refused.ExitCode);
        Assert.Equal(before, File.ReadAllBytes(image));
    }
}
