using System.Diagnostics;
using System.Globalization;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Cli.Tests;

/// <summary>The image lies on a filesystem (FUSE, in memory) that makes reads of one place wait.</summary>
public sealed class StalledImageTests : IDisposable
{
    private const int DataSegmentByteOffset = 16 << 20;
    private const int BlockByteSize = 4096;
    private const int FileByteCount = 8 << 20;

    private readonly Installation _here = new();
    private Process? _host;

    public void Dispose()
    {
        File.Delete(_here["stall"]);
        ExternalTool.Run("umount", "-l", _here["mnt"]);
        ExternalTool.Run("umount", "-l", _here["slow"]);
        _host?.WaitForExit(10_000);
        _host?.Dispose();
        _here.Dispose();
    }

    [Fact]
    [Trait("needs", "root")]
    public void A_read_that_waits_for_the_image_delays_no_reader_of_another_file()
    {
        Installation.RequireFuse();
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "emptying the page cache needs root");
        string prepared = _here.Create("prepared.img", "96M");
        byte[] content = new byte[FileByteCount];
        new Random(5).NextBytes(content);
        File.WriteAllBytes(_here["content"], content);
        foreach (string name in new[] { "slow", "other" })
        {
            _here.Expect(0, "cp", _here["content"], $"{prepared}:/{name}", "--passphrase-file", _here["passphrase"]);
        }

        string blocks = ExternalTool.Run("debugfs", "-R", "blocks /slow", _here.Decrypt(prepared)).Succeeded().Output;
        long middle = long.Parse(blocks.Split(' ', StringSplitOptions.RemoveEmptyEntries)[FileByteCount / BlockByteSize / 2], CultureInfo.InvariantCulture);
        StartHost(DataSegmentByteOffset + (middle * BlockByteSize));
        File.Copy(prepared, _here["slow/disk.img"]);
        ExternalTool.Bash("sync; echo 3 > /proc/sys/vm/drop_caches").Succeeded();
        File.WriteAllText(_here["stall"], "");

        string folder = _here.Mount(_here["slow/disk.img"]);
        using Process reader = Process.Start("cmp", [Path.Combine(folder, "slow"), _here["content"]]);
        Thread.Sleep(1000);
        Assert.False(reader.HasExited);
        ExternalTool.Run("bash", ["-c", """
            set -e; cd "$1"; cmp other "$2"; ls -l > list; mkdir folder; echo x > folder/file; sync folder/file; [ "$(cat folder/file)" = x ]
            """, "bash", folder, _here["content"]], null, timeoutMs: 10_000).Succeeded();
        Assert.False(reader.HasExited);

        File.Delete(_here["stall"]);
        Assert.True(reader.WaitForExit(20_000));
        Assert.Equal(0, reader.ExitCode);
        Assert.Equal(content, File.ReadAllBytes(Path.Combine(folder, "slow")));
        _here.Unmount(folder);
    }

    private void StartHost(long stalledByteOffset)
    {
        string host = Path.Combine(AppContext.BaseDirectory, "VDiskCrypt.Fuse.Host");
        Directory.CreateDirectory(_here["slow"]);
        var start = new ProcessStartInfo(host, [_here["slow"], string.Create(CultureInfo.InvariantCulture,
            $"stall={stalledByteOffset}:{BlockByteSize}:{_here["stall"]}")])
        {
            RedirectStandardOutput = true,
        };
        _host = Process.Start(start)!;
        Assert.StartsWith("READY", _host.StandardOutput.ReadLine());
    }
}
