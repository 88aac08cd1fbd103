using System.Diagnostics;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Cli.Tests;

/// <summary>Every way to end a mount writes everything out.</summary>
public sealed class UnmountTests : IDisposable
{
    private readonly Installation _here = new();

    public void Dispose() => _here.Dispose();

    [Theory]
    [InlineData("fusermount3 -u \"$2\"")]
    [InlineData("kill -TERM $1")]
    [InlineData("kill -INT $1")]
    public void A_mount_ended_from_outside_is_whole(string script)
    {
        Installation.RequireFuse();
        string image = _here.Create("disk.vhdx");
        string folder = _here.Mount(image);
        File.WriteAllText(Path.Combine(folder, "last"), "words");
        int daemon = _here.Json("status").GetProperty("mounts")[0].GetProperty("processId").GetInt32();
        ExternalTool.Bash(script, daemon.ToString(), folder).Succeeded();
        WaitForEnd(daemon);
        _here.AssertFileSystemIsClean(image);
        Assert.Equal("words", _here.Expect(0, "cat", $"{image}:/last", "--passphrase-file", _here["passphrase"]).Output);
    }

    [Fact]
    public void A_foreground_mount_ends_by_a_signal_with_everything_written()
    {
        Installation.RequireFuse();
        string image = _here.Create("disk.img");
        string folder = _here["mnt"];
        using Process mount = _here.Start("mount", "--foreground", image, folder, "--passphrase-file", _here["passphrase"]);
        WaitUntil(() => ExternalTool.Run("mountpoint", "-q", folder).ExitCode == 0, "the mount is there");
        File.WriteAllText(Path.Combine(folder, "last"), "words");
        ExternalTool.Run("kill", "-TERM", mount.Id.ToString()).Succeeded();
        Assert.True(mount.WaitForExit(30_000));
        Assert.Equal(0, mount.ExitCode);
        _here.AssertFileSystemIsClean(image);
    }

    [Fact]
    public void Unmount_refuses_while_a_file_is_open_and_takes_the_image_name_too()
    {
        Installation.RequireFuse();
        string image = _here.Create("disk.img");
        string folder = _here.Mount(image);
        using (File.Create(Path.Combine(folder, "open")))
        {
            Assert.Contains(folder, _here.Expect(9, "unmount", folder).Error);
        }

        _here.Expect(0, "unmount", image);
        _here.AssertFileSystemIsClean(image);
    }

    [Fact]
    public void Lazy_unmount_lets_open_files_finish()
    {
        Installation.RequireFuse();
        string image = _here.Create("disk.img");
        string folder = _here.Mount(image);
        int daemon = _here.Json("status").GetProperty("mounts")[0].GetProperty("processId").GetInt32();
        using (StreamWriter open = File.CreateText(Path.Combine(folder, "open")))
        {
            open.Write("before ");
            _here.Expect(0, "unmount", folder, "--lazy");
            open.Write("after");
        }

        WaitForEnd(daemon);
        Assert.Equal("before after", _here.Expect(0, "cat", $"{image}:/open", "--passphrase-file", _here["passphrase"]).Output);
    }

    [Fact]
    public void A_dead_daemons_mount_is_cleared_by_the_next_mount()
    {
        Installation.RequireFuse();
        string image = _here.Create("disk.img");
        string folder = _here.Mount(image);
        int daemon = _here.Json("status").GetProperty("mounts")[0].GetProperty("processId").GetInt32();
        ExternalTool.Run("kill", "-KILL", daemon.ToString()).Succeeded();
        WaitForEnd(daemon);
        Assert.Empty(_here.Json("status").GetProperty("mounts").EnumerateArray());
        string other = _here.Create("other.img", "32M");
        _here.Expect(0, "mount", other, folder, "--passphrase-file", _here["passphrase"]);
        _here.Unmount(folder);
    }

    [Fact]
    public void Nothing_mounted_is_said_so() => _here.Expect(3, "unmount", _here["nowhere"]);

    private static void WaitForEnd(int processId) =>
        WaitUntil(() => !Directory.Exists($"/proc/{processId}") || File.ReadAllText($"/proc/{processId}/stat").Contains(") Z "), "the daemon ended");

    private static void WaitUntil(Func<bool> condition, string what)
    {
        var time = Stopwatch.StartNew();
        while (!condition())
        {
            Assert.True(time.Elapsed < TimeSpan.FromSeconds(30), $"after 30 s: not so that {what}");
            Thread.Sleep(20);
        }
    }
}
