using System.Text;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Cli.Tests;

/// <summary>Bad input: the exit code of the contract, a message that says what and where, and the image unchanged.</summary>
public sealed class BadInputTests : IDisposable
{
    private readonly Installation _here = new();

    public void Dispose() => _here.Dispose();

    [Fact]
    public void A_wrong_passphrase()
    {
        string image = _here.Create("disk.vhdx", "32M");
        File.WriteAllText(_here["wrong"], "wrong");
        Refused(4, image, "--passphrase-file", _here["wrong"]);
    }

    [Fact]
    public void No_credential_at_all()
    {
        string image = _here.Create("disk.img", "32M");
        Refused(4, image);
    }

    [Fact]
    public void A_missing_image() => Assert.Contains("nothing.img", _here.Expect(3, "info", _here["nothing.img"]).Error);

    [Theory]
    [InlineData("disk.vhdx")]
    [InlineData("disk.vhd")]
    [InlineData("disk.img")]
    public void A_truncated_image(string name)
    {
        string image = _here.Create(name, "64M", "--no-partition");
        using (FileStream file = File.OpenWrite(image))
        {
            file.SetLength(file.Length / 3);
        }

        Refused(7, image, "--passphrase-file", _here["passphrase"]);
    }

    [Fact]
    public void A_damaged_footer_of_a_fixed_vhd()
    {
        string image = _here.Create("disk.vhd", "32M", "--format", "vhd-fixed");
        using (FileStream file = File.Open(image, FileMode.Open))
        {
            file.Seek(-512 + 20, SeekOrigin.End);
            file.WriteByte(0xEE);
        }

        Refused(7, image, "--passphrase-file", _here["passphrase"]);
    }

    [Fact]
    public void A_damaged_first_header_copy_is_opened_from_the_second_and_repaired()
    {
        string image = _here.Create("disk.img", "32M");
        Overwrite(image, 100, 64);
        ToolResult first = _here.Expect(0, "cp", "/etc/hostname", $"{image}:/hostname", "--passphrase-file", _here["passphrase"]);
        Assert.Contains("copy", first.Error);
        ToolResult second = _here.Expect(0, "ls", $"{image}:/", "--passphrase-file", _here["passphrase"]);
        Assert.DoesNotContain("copy", second.Error);
        ExternalTool.Run("cryptsetup", "luksDump", image).Succeeded();
    }

    [Fact]
    public void Both_header_copies_damaged()
    {
        string image = _here.Create("disk.img", "32M");
        Overwrite(image, 100, 64);
        Overwrite(image, 16384 + 100, 64);
        Refused(7, image, "--passphrase-file", _here["passphrase"]);
    }

    [Fact]
    public void A_LUKS1_image_names_itself()
    {
        ExternalTool.Require("cryptsetup");
        File.WriteAllBytes(_here["luks1.img"], new byte[8 << 20]);
        ExternalTool.Run("cryptsetup", "luksFormat", "--type", "luks1", "--batch-mode", "--pbkdf-force-iterations", "1000",
            "--key-file", _here["passphrase"], _here["luks1.img"]).Succeeded();
        Assert.Contains("LUKS1", Refused(8, _here["luks1.img"], "--passphrase-file", _here["passphrase"]).Error);
    }

    [Fact]
    public void A_BitLocker_image_names_itself()
    {
        byte[] sector = new byte[8 << 20];
        Encoding.ASCII.GetBytes("-FVE-FS-").CopyTo(sector, 3);
        File.WriteAllBytes(_here["bitlocker.img"], sector);
        Assert.Contains("BitLocker", Refused(8, _here["bitlocker.img"], "--passphrase-file", _here["passphrase"]).Error);
    }

    [Fact]
    public void An_image_of_nothing_known()
    {
        byte[] bytes = new byte[8 << 20];
        new Random(3).NextBytes(bytes);
        File.WriteAllBytes(_here["random.img"], bytes);
        Refused(7, _here["random.img"], "--passphrase-file", _here["passphrase"]);
    }

    [Fact]
    public void An_image_in_use_names_its_holder()
    {
        Installation.RequireFuse();
        string image = _here.Create("disk.vhdx", "32M");
        string folder = _here.Mount(image);
        Assert.Contains("in use", _here.Expect(9, "mount", image, _here["second"], "--passphrase-file", _here["passphrase"]).Error);
        _here.Expect(9, "cp", "/etc/hostname", $"{image}:/", "--passphrase-file", _here["passphrase"]);
        _here.Unmount(folder);
    }

    [Fact]
    public void A_mount_point_that_is_a_file_or_not_empty()
    {
        Installation.RequireFuse();
        string image = _here.Create("disk.img", "32M");
        File.WriteAllText(_here["file"], "");
        Directory.CreateDirectory(_here["full/inner"]);
        Assert.Contains(_here["file"], _here.Expect(2, "mount", image, _here["file"], "--passphrase-file", _here["passphrase"]).Error);
        Assert.Contains(_here["full"], _here.Expect(2, "mount", image, _here["full"], "--passphrase-file", _here["passphrase"]).Error);
    }

    [Theory]
    [InlineData("create", "x.img", "--size", "ten")]
    [InlineData("create", "x.img")]
    [InlineData("frobnicate")]
    [InlineData("create", "x.img", "--size", "64M", "--sector-size", "4097")]
    public void Words_that_make_no_sense(params string[] arguments)
    {
        ToolResult result = _here.Expect(2, arguments);
        Assert.NotEmpty(result.Error);
        Assert.DoesNotContain("   at ", result.Error);
    }

    [Fact]
    public void An_existing_file_is_never_overwritten_by_create()
    {
        File.WriteAllText(_here["precious.vhdx"], "data");
        _here.Expect(2, "create", _here["precious.vhdx"], "--size", "64M", "--passphrase-file", _here["passphrase"]);
        Assert.Equal("data", File.ReadAllText(_here["precious.vhdx"]));
    }

    [Fact]
    public void A_size_too_small_for_a_volume_leaves_nothing_behind()
    {
        Assert.NotEmpty(_here.Expect(2, "create", _here["tiny.img"], "--size", "1M", "--passphrase-file", _here["passphrase"]).Error);
        Assert.False(File.Exists(_here["tiny.img"]));
    }

    private ToolResult Refused(int exitCode, string image, params string[] options)
    {
        byte[] before = File.ReadAllBytes(image);
        ToolResult result = _here.Expect(exitCode, ["ls", $"{image}:/", .. options]);
        Assert.NotEmpty(result.Error);
        Assert.DoesNotContain("   at ", result.Error);
        _here.Expect(exitCode, ["mount", image, _here["refused"], .. options]);
        Assert.Equal(before, File.ReadAllBytes(image));
        return result;
    }

    private static void Overwrite(string path, long offset, int byteCount)
    {
        using FileStream file = File.OpenWrite(path);
        file.Position = offset;
        file.Write(Enumerable.Repeat((byte)0xA5, byteCount).ToArray());
    }
}
