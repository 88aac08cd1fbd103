using System.Text.Json;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Cli.Tests;

/// <summary>An image is created, mounted, used, unmounted, and is whole afterwards.</summary>
public sealed class MainJobTests : IDisposable
{
    private readonly Installation _here = new();

    public void Dispose() => _here.Dispose();

    [Fact]
    public void One_command_makes_and_mounts_an_image_with_a_platform_key()
    {
        Installation.RequireFuse();
        string image = _here["secret.vhdx"];
        JsonElement made = _here.Json("mount", "--create", "64M", image, _here["secret"]);
        Assert.Equal(55, made.GetProperty("recoveryKey").GetString()!.Length);
        File.WriteAllText(Path.Combine(_here["secret"], "note"), "kept");
        _here.Unmount(_here["secret"]);
        Assert.False(File.Exists(Path.Combine(_here["secret"], "note")));

        _here.Expect(0, "mount", image, _here["secret"]);
        Assert.Equal("kept", File.ReadAllText(Path.Combine(_here["secret"], "note")));
        _here.Unmount(_here["secret"]);
    }

    [Fact]
    public void The_recovery_key_opens_the_volume_when_the_platform_key_is_gone()
    {
        string image = _here["secret.vhdx"];
        string recoveryKey = _here.Json("create", image, "--size", "32M").GetProperty("recoveryKey").GetString()!;
        Directory.Delete(_here["data"], recursive: true);
        Directory.CreateDirectory(_here["data"], UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        _here.Expect(4, "ls", $"{image}:/");
        File.WriteAllText(_here["typed"], recoveryKey.ToLowerInvariant().Replace('-', ' ') + "\n");
        Assert.Contains("lost+found", _here.Expect(0, "ls", $"{image}:/", "--passphrase-file", _here["typed"]).Output);
    }

    [Theory]
    [InlineData("disk.vhdx", "vhdx")]
    [InlineData("disk.vhdx", "vhdx-fixed")]
    [InlineData("disk.vhd", "vhd")]
    [InlineData("disk.vhd", "vhd-fixed")]
    [InlineData("disk.img", "raw")]
    public void What_is_written_through_a_mount_is_there_after_the_next(string name, string format)
    {
        Installation.RequireFuse();
        string image = _here.Create(name, "64M", "--format", format);
        string folder = _here.Mount(image);
        byte[] content = new byte[10_000_000];
        new Random(1).NextBytes(content);
        File.WriteAllBytes(Path.Combine(folder, "big"), content);
        Directory.CreateDirectory(Path.Combine(folder, "a/b/c"));
        File.WriteAllText(Path.Combine(folder, "a/b/c/small"), "small");
        File.CreateSymbolicLink(Path.Combine(folder, "link"), "a/b/c/small");
        _here.Unmount(folder);

        folder = _here.Mount(image);
        Assert.Equal(content, File.ReadAllBytes(Path.Combine(folder, "big")));
        Assert.Equal("small", File.ReadAllText(Path.Combine(folder, "link")));
        _here.Unmount(folder);
        _here.AssertFileSystemIsClean(image);
    }

    [Fact]
    public void A_volume_fills_the_image_without_a_partition_when_asked()
    {
        string image = _here.Create("disk.vhdx", "64M", "--no-partition");
        JsonElement info = _here.Json("info", image);
        Assert.Empty(info.GetProperty("partitions").EnumerateArray());
        _here.AssertFileSystemIsClean(image);
    }

    [Fact]
    public void Features_of_the_filesystem_are_chosen_by_name()
    {
        ExternalTool.Require("dumpe2fs");
        string image = _here.Create("disk.img", "64M", "--fs-features", "metadata_csum_seed,orphan_file");
        string features = ExternalTool.Run("dumpe2fs", "-h", _here.Decrypt(image)).Succeeded().Output;
        Assert.Contains("metadata_csum_seed", features);
        Assert.Contains("orphan_file", features);
        _here.AssertFileSystemIsClean(image);
        Assert.Contains("encrypt", _here.Expect(2, "create", _here["other.img"], "--size", "64M", "--fs-features", "encrypt").Error);
    }

    [Fact]
    public void The_folder_is_made_when_it_is_missing_and_belongs_to_its_maker()
    {
        Installation.RequireFuse();
        string folder = _here.Mount(_here.Create("disk.img"), "deep/new/folder");
        string owner = ExternalTool.Run("stat", "-c", "%u", folder).Succeeded().Output.Trim();
        Assert.Equal(ExternalTool.Run("id", "-u").Output.Trim(), owner);
        _here.Unmount(folder);
    }

    [Fact]
    public void A_read_only_mount_refuses_writes_and_leaves_the_image_as_it_is()
    {
        Installation.RequireFuse();
        string image = _here.Create("disk.img", "32M");
        byte[] before = File.ReadAllBytes(image);
        string folder = _here.Mount(image, "mnt", "--read-only");
        ToolResult touch = ExternalTool.Run("touch", Path.Combine(folder, "x"));
        Assert.NotEqual(0, touch.ExitCode);
        Assert.Contains("Read-only", touch.Error);
        _here.Unmount(folder);
        Assert.Equal(before, File.ReadAllBytes(image));
    }

    [Fact]
    public void Status_shows_a_mount_and_where_it_logs()
    {
        Installation.RequireFuse();
        string image = _here.Create("disk.img", "32M");
        string folder = _here.Mount(image);
        JsonElement mount = Assert.Single(_here.Json("status").GetProperty("mounts").EnumerateArray().ToArray());
        Assert.Equal(folder, mount.GetProperty("mountPoint").GetString());
        Assert.Equal(image, mount.GetProperty("image").GetString());
        Assert.True(File.Exists(mount.GetProperty("log").GetString()));
        _here.Unmount(folder);
        Assert.Empty(_here.Json("status").GetProperty("mounts").EnumerateArray());
    }

    [Fact]
    public void A_passphrase_comes_from_a_descriptor_or_standard_input()
    {
        string image = _here.Create("disk.img", "32M");
        byte[] typed = File.ReadAllBytes(_here["passphrase"]);
        Assert.Equal(0, _here.Run(typed, "ls", $"{image}:/", "--passphrase-file", "-").ExitCode);
        ToolResult byDescriptor = ExternalTool.Bash(
            "\"$1\" ls \"$2:/\" --passphrase-fd 7 7<\"$3\"", Installation.Command, image, _here["passphrase"]);
        Assert.Equal(0, byDescriptor.Succeeded().ExitCode);
    }
}
