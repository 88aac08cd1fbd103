using System.Text;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Cli.Tests;

/// <summary>What a thief of the image sees.</summary>
public sealed class LeakTests : IDisposable
{
    private readonly Installation _here = new();

    public void Dispose() => _here.Dispose();

    [Theory]
    [InlineData("disk.vhdx")]
    [InlineData("disk.vhd")]
    [InlineData("disk.img")]
    public void The_image_holds_no_plaintext_no_file_name_and_no_key(string name)
    {
        Installation.RequireFuse();
        string marker = Guid.NewGuid().ToString("N");
        string image = _here.Create(name, "64M");
        string folder = _here.Mount(image);
        string repeated = string.Concat(Enumerable.Repeat(marker, 5000));
        File.WriteAllText(Path.Combine(folder, "name-" + marker), repeated);
        Directory.CreateDirectory(Path.Combine(folder, "folder-" + marker));
        _here.Unmount(folder);

        byte[] bytes = File.ReadAllBytes(image);
        Assert.Equal(-1, bytes.AsSpan().IndexOf(Encoding.ASCII.GetBytes(marker)));
        Assert.Equal(-1, bytes.AsSpan().IndexOf("lost+found"u8));
        Assert.Equal(-1, bytes.AsSpan().IndexOf(Encoding.ASCII.GetBytes(Installation.Passphrase)));

        // The same bytes do lie in the plaintext: the search would find them.
        byte[] plain = File.ReadAllBytes(_here.Decrypt(image));
        Assert.NotEqual(-1, plain.AsSpan().IndexOf(Encoding.ASCII.GetBytes(marker)));
    }

    [Fact]
    public void No_half_of_the_volume_key_lies_in_the_image()
    {
        ExternalTool.Require("cryptsetup");
        string image = _here.Create("disk.img", "64M");
        ExternalTool.Run("cryptsetup", "luksDump", "--batch-mode", "--dump-volume-key", "--key-file", _here["passphrase"],
            "--volume-key-file", _here["key"], image).Succeeded();
        byte[] key = File.ReadAllBytes(_here["key"]);
        Assert.Equal(64, key.Length);
        byte[] bytes = File.ReadAllBytes(image);
        for (int offset = 0; offset < key.Length; offset += 16)
        {
            Assert.Equal(-1, bytes.AsSpan().IndexOf(key.AsSpan(offset, 16)));
        }
    }

    [Fact]
    public void No_secret_reaches_the_log_the_command_line_or_the_environment_of_the_daemon()
    {
        Installation.RequireFuse();
        string image = _here.Create("disk.img", "32M");
        string folder = _here.Mount(image);
        int daemon = _here.Json("status").GetProperty("mounts")[0].GetProperty("processId").GetInt32();
        string log = File.ReadAllText(_here.Json("status").GetProperty("mounts")[0].GetProperty("log").GetString()!);
        byte[] commandLine = File.ReadAllBytes($"/proc/{daemon}/cmdline");
        Assert.DoesNotContain(Installation.Passphrase, log);
        Assert.DoesNotContain(Installation.Passphrase, Encoding.UTF8.GetString(commandLine));
        _here.Unmount(folder);
    }
}
