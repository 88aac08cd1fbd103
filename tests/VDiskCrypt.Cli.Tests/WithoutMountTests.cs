using System.Text.Json;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Cli.Tests;

/// <summary>ls, cat, cp, info and decrypt need no /dev/fuse.</summary>
public sealed class WithoutMountTests : IDisposable
{
    private readonly Installation _here = new();

    public void Dispose() => _here.Dispose();

    [Fact]
    public void A_tree_goes_in_and_comes_out_the_same()
    {
        string image = _here.Create("disk.vhdx", "128M");
        ExternalTool.Bash("""
            mkdir -p "$1/a/b" "$1/empty"; head -c 3000000 /dev/urandom > "$1/a/big"; echo small > "$1/a/b/small"
            ln -s b/small "$1/a/link"; truncate -s 50M "$1/sparse"; echo end >> "$1/sparse"; chmod 640 "$1/a/big"
            touch -d '2001-02-03 04:05:06.789' "$1/a/b/small"
            """, _here["tree"]).Succeeded();
        _here.Expect(0, "cp", "-r", _here["tree"], $"{image}:/", "--passphrase-file", _here["passphrase"]);
        _here.AssertFileSystemIsClean(image);
        _here.Expect(0, "cp", "-r", $"{image}:/tree", _here["out"], "--passphrase-file", _here["passphrase"]);
        ExternalTool.Bash("""
            diff -r --no-dereference "$1" "$2"
            cd "$1"; find . -printf '%p %m %T@\n' | sort > "$1.list"
            cd "$2"; find . -printf '%p %m %T@\n' | sort > "$2.list"
            diff "$1.list" "$2.list"
            """, _here["tree"], _here["out"]).Succeeded();
    }

    [Fact]
    public void Cat_follows_links_and_names_what_is_missing()
    {
        string image = _here.Create("disk.img", "32M");
        File.WriteAllText(_here["file"], "text");
        _here.Expect(0, "cp", _here["file"], $"{image}:/renamed", "--passphrase-file", _here["passphrase"]);
        Assert.Equal("text", _here.Expect(0, "cat", $"{image}:/renamed", "--passphrase-file", _here["passphrase"]).Output);
        Assert.Contains("missing", _here.Expect(3, "cat", $"{image}:/missing", "--passphrase-file", _here["passphrase"]).Error);
        _here.Expect(2, "cat", $"{image}:/lost+found", "--passphrase-file", _here["passphrase"]);
    }

    [Fact]
    public void Ls_as_json_gives_mode_size_and_time()
    {
        string image = _here.Create("disk.img", "32M");
        JsonElement folder = _here.Json("ls", $"{image}:/", "--passphrase-file", _here["passphrase"]).GetProperty("folders")[0];
        JsonElement lostAndFound = folder.GetProperty("entries")[0];
        Assert.Equal("lost+found", lostAndFound.GetProperty("name").GetString());
        Assert.Equal(0x4000u | 0x1C0u, lostAndFound.GetProperty("mode").GetUInt32());
    }

    [Fact]
    public void Info_needs_no_secret_and_shows_the_keyslots()
    {
        string image = _here["disk.vhdx"];
        _here.Expect(0, "create", image, "--size", "64M");
        JsonElement info = _here.Json("info", image);
        Assert.Equal("vhdx", info.GetProperty("format").GetString());
        JsonElement volume = info.GetProperty("volumes")[0];
        Assert.Equal(2, volume.GetProperty("keyslots").GetArrayLength());
        Assert.Contains("platform:default/", volume.GetProperty("keks")[0].GetProperty("keyId").GetString());
        Assert.Contains("aes-xts-plain64", _here.Expect(0, "info", image).Output);
    }

    [Fact]
    public void Decrypt_streams_the_same_bytes_as_it_writes()
    {
        string image = _here.Create("disk.img", "32M");
        string plain = _here.Decrypt(image);
        byte[] streamed = _here.Expect(0, "decrypt", image, "-", "--passphrase-file", _here["passphrase"]).OutputBytes;
        Assert.Equal(File.ReadAllBytes(plain), streamed);
        _here.Expect(2, "decrypt", image, plain, "--passphrase-file", _here["passphrase"]);
    }

    [Fact]
    public void Create_says_when_the_platform_key_lies_on_the_disk_it_should_protect()
    {
        ToolResult made = _here.Expect(0, "create", _here["disk.vhdx"], "--size", "32M");
        Assert.Contains("stolen", made.Error);
    }

    [Fact]
    public void Two_keks_and_a_passphrase_each_open_the_volume()
    {
        ExternalTool.Bash("for k in \"$1\" \"$2\"; do head -c 32 /dev/urandom > \"$k\"; chmod 600 \"$k\"; done", _here["a.key"], _here["b.key"]).Succeeded();
        string image = _here.Create("disk.img", "32M", "--kek", $"file:{_here["a.key"]}", "--kek", $"file:{_here["b.key"]}");
        _here.Expect(0, "ls", $"{image}:/", "--passphrase-file", _here["passphrase"]);
        _here.Expect(0, "ls", $"{image}:/");
        File.Delete(_here["a.key"]);
        _here.Expect(0, "ls", $"{image}:/");
        File.Delete(_here["b.key"]);
        _here.Expect(4, "ls", $"{image}:/");
    }
}
