using System.Diagnostics;
using System.Text;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Cli.Tests;

/// <summary>Closed descriptors, full outputs, odd paths, tampered headers: what surrounds the command is not to be trusted.</summary>
public sealed class HostileSurroundingsTests : IDisposable
{
    private readonly Installation _here = new();

    public void Dispose() => _here.Dispose();

    [Theory]
    [InlineData("0<&-")]
    [InlineData("2>&-")]
    [InlineData("1>&- 2>&-")]
    [InlineData("0<&- 1>&- 2>&-")]
    public void A_message_is_never_written_over_the_image_where_standard_descriptors_are_closed(string closed)
    {
        string image = MadeElsewhere();
        byte[] header = FirstBytes(image);
        File.WriteAllText(_here["words"], "words");

        // The volume has no authentication code, which is worth a message while the image is open for writing.
        Shell(0, $"\"$VDISKCRYPT\" cp \"$1/words\" \"$2:/words\" --passphrase-file \"$1/passphrase\" {closed}", image);
        Assert.Equal(header, FirstBytes(image));
        Shell(3, $"\"$VDISKCRYPT\" cat \"$2:/nothing\" --passphrase-file \"$1/passphrase\" {closed}", image);
        Assert.Equal("words", _here.Expect(0, "cat", $"{image}:/words", "--passphrase-file", _here["passphrase"]).Output);
    }

    [Fact]
    public void A_daemon_started_without_descriptors_keeps_its_log_out_of_the_image()
    {
        Installation.RequireFuse();
        string image = MadeElsewhere();
        byte[] header = FirstBytes(image);

        // The mount stands; only its result could not be told.
        Shell(10, "\"$VDISKCRYPT\" mount \"$2\" \"$1/mnt\" --passphrase-file \"$1/passphrase\" 0<&- 1>&- 2>&-", image);
        _here.Expect(0, "unmount", _here["mnt"]);
        Assert.Equal(header, FirstBytes(image));
    }

    [Fact]
    public void A_result_that_cannot_be_written_is_a_failure()
    {
        string image = _here.Create("disk.img", "32M");
        Shell(10, "\"$VDISKCRYPT\" info \"$2\" > /dev/full", image);
        Shell(10, "\"$VDISKCRYPT\" info \"$2\" >&-", image);
        Shell(10, "\"$VDISKCRYPT\" decrypt \"$2\" - --passphrase-file \"$1/passphrase\" > /dev/full", image);
    }

    [Fact]
    public void Decrypt_stops_when_its_reader_goes_away()
    {
        string image = _here.Create("disk.img", "32M");
        Shell(10, "\"$VDISKCRYPT\" decrypt \"$2\" - --passphrase-file \"$1/passphrase\" | head -c 10 > \"$1/head\"; exit ${PIPESTATUS[0]}", image);
    }

    [Fact]
    public void Standard_output_is_shared_with_what_is_written_before_and_after()
    {
        string image = _here.Create("disk.img", "32M");
        File.WriteAllText(_here["words"], "words\n");
        _here.Expect(0, "cp", _here["words"], $"{image}:/words", "--passphrase-file", _here["passphrase"]);
        Shell(0, "{ echo before; \"$VDISKCRYPT\" cat \"$2:/words\" --passphrase-file \"$1/passphrase\"; echo after; } > \"$1/all\"", image);
        Assert.Equal("before\nwords\nafter\n", File.ReadAllText(_here["all"]));
    }

    [Fact]
    public void Another_uuid_does_not_hide_that_the_authentication_code_was_removed()
    {
        ExternalTool.Require("cryptsetup");
        string image = _here.Create("disk.img", "32M", "--kek", "platform:");
        foreach (string token in (string[])["0", "1"])
        {
            ExternalTool.Run("cryptsetup", "token", "remove", "--token-id", token, image).Succeeded();
        }

        ExternalTool.Run("cryptsetup", "-q", "luksUUID", "--uuid", "11111111-2222-3333-4444-555555555555", image).Succeeded();
        Assert.Contains("authentication code was removed", _here.Expect(7, "ls", $"{image}:/", "--passphrase-file", _here["passphrase"]).Error);
    }

    [Fact]
    public void An_image_that_cannot_be_remembered_is_not_made()
    {
        File.WriteAllText(_here["data/volumes"], "in the way");
        Assert.Contains("data/volumes", _here.Expect(10, "create", _here["disk.img"], "--size", "32M", "--pbkdf", "pbkdf2", "--iter-time", "10",
            "--passphrase-file", _here["passphrase"]).Error);
        Assert.Empty(Directory.GetFiles(_here["."], "disk.img*"));
    }

    [Fact]
    public void Folders_of_the_command_may_be_relative_and_an_empty_name_is_none()
    {
        Installation.RequireFuse();
        string image = _here.Create("disk.img", "32M");
        const string mount = "\"$VDISKCRYPT\" mount \"$2\" mnt --passphrase-file passphrase && \"$VDISKCRYPT\" unmount mnt";
        Shell(0, $"cd \"$1\"; export VDISKCRYPT_DATA_DIR=data VDISKCRYPT_RUNTIME_DIR=run; {mount}", image);
    }

    [Fact]
    public void A_runtime_folder_too_long_for_a_socket_is_refused_before_anything_is_mounted()
    {
        Installation.RequireFuse();
        string image = _here.Create("disk.img", "32M");
        Shell(2, "export VDISKCRYPT_RUNTIME_DIR=$1/$(printf 'x%.0s' {1..120}); \"$VDISKCRYPT\" mount \"$2\" \"$1/mnt\" --passphrase-file \"$1/passphrase\"", image);
        Assert.NotEqual(0, ExternalTool.Run("mountpoint", "-q", _here["mnt"]).ExitCode);
    }

    [Fact]
    public void A_pipe_among_the_files_to_copy_is_left_out()
    {
        string image = _here.Create("disk.img", "32M");
        Directory.CreateDirectory(_here["tree"]);
        File.WriteAllText(_here["tree/words"], "words");
        ExternalTool.Run("mkfifo", _here["tree/pipe"]).Succeeded();
        Shell(0, "timeout 60 \"$VDISKCRYPT\" cp -r \"$1/tree\" \"$2:/tree\" --passphrase-file \"$1/passphrase\"", image);
        Assert.Equal("words\n", _here.Expect(0, "ls", $"{image}:/tree", "--passphrase-file", _here["passphrase"]).Output);
    }

    [Fact]
    [Trait("needs", "root")]
    public void A_copied_file_is_closed_to_others_until_it_has_its_own_mode()
    {
        ExternalTool.Require("strace");
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "looking into a process that is not dumpable needs root");
        string image = _here.Create("disk.img", "32M");
        File.WriteAllText(_here["secret"], "words");
        File.SetUnixFileMode(_here["secret"], UnixFileMode.UserRead);
        _here.Expect(0, "cp", _here["secret"], $"{image}:/secret", "--passphrase-file", _here["passphrase"]);
        Shell(0, "strace -f -e trace=openat,open -o \"$1/trace\" \"$VDISKCRYPT\" cp \"$2:/secret\" \"$1/copy\" --passphrase-file \"$1/passphrase\"", image);
        Assert.Contains("0600", File.ReadLines(_here["trace"]).Single(line => line.Contains("/copy\"", StringComparison.Ordinal)));
        Assert.Equal(UnixFileMode.UserRead, File.GetUnixFileMode(_here["copy"]));
    }

    [Fact]
    public void A_name_that_is_not_utf8_is_refused_and_does_not_fall_together_with_another()
    {
        Installation.RequireFuse();
        string image = _here.Create("disk.img", "32M");
        string folder = _here.Mount(image);
        ExternalTool.Bash("mkdir $1/d; echo a > $1/d/$'x\\xfe'; echo b > $1/d/$'x\\xff'", folder).Succeeded();
        _here.Unmount(folder);
        _here.Expect(8, "cp", "-r", $"{image}:/d", _here["out"], "--passphrase-file", _here["passphrase"]);
    }

    [Theory]
    [InlineData("password!")]
    [InlineData("correct-horse-battery-staple-and-more")]
    public void A_wrong_passphrase_is_not_taken_for_a_recovery_key_with_a_slip(string wrong)
    {
        string image = _here.Create("disk.img", "32M");
        File.WriteAllText(_here["wrong"], wrong);
        Assert.DoesNotContain("recovery", _here.Expect(4, "ls", $"{image}:/", "--passphrase-file", _here["wrong"]).Error);
    }

    [Fact]
    public void An_image_that_is_missing_is_named_by_cp() =>
        Assert.Contains("missing.img", _here.Expect(3, "cp", $"{_here["missing.img"]}:/x", _here["x"]).Error);

    [Fact]
    public void A_folder_that_may_not_be_written_is_no_internal_error()
    {
        string image = _here.Create("disk.img", "32M");
        _here.Expect(3, "cp", $"{image}:/lost+found", "/proc/nothing/x", "-r", "--passphrase-file", _here["passphrase"]);
    }

    [Fact]
    public void A_foreground_mount_that_ends_with_files_open_says_so_by_its_exit_code()
    {
        Installation.RequireFuse();
        string image = _here.Create("disk.img", "32M");
        using Process mount = _here.Start("mount", "--foreground", image, _here["mnt"], "--passphrase-file", _here["passphrase"]);
        for (int i = 0; i < 300 && ExternalTool.Run("mountpoint", "-q", _here["mnt"]).ExitCode != 0; i++)
        {
            Thread.Sleep(100);
        }

        using (FileStream open = File.Create(_here["mnt/open"]))
        {
            ExternalTool.Run("kill", "-TERM", mount.Id.ToString()).Succeeded();
            Assert.True(mount.WaitForExit(60_000));
            Assert.Equal(10, mount.ExitCode);
        }
    }

    [Fact]
    public void A_foreground_mount_prints_the_recovery_key_of_a_new_image()
    {
        Installation.RequireFuse();
        using Process mount = _here.Start("mount", "--foreground", "--create", "32M", _here["disk.img"], _here["mnt"]);
        string line = mount.StandardOutput.ReadLine() ?? "";
        Assert.Contains("recovery key", line);
        for (int i = 0; i < 300 && ExternalTool.Run("mountpoint", "-q", _here["mnt"]).ExitCode != 0; i++)
        {
            Thread.Sleep(100);
        }

        _here.Expect(0, "unmount", _here["mnt"]);
        Assert.True(mount.WaitForExit(30_000));
        Assert.Equal(0, mount.ExitCode);
        Assert.Equal("", mount.StandardOutput.ReadToEnd());
        File.WriteAllText(_here["key"], line[(line.LastIndexOf(' ') + 1)..]);
        _here.Expect(0, "ls", $"{_here["disk.img"]}:/", "--passphrase-file", _here["key"]);
    }

    /// <summary>An image without our tokens, of which nothing is remembered here.</summary>
    private string MadeElsewhere()
    {
        ExternalTool.Require("cryptsetup");
        string image = _here.Create("disk.img", "32M");
        ExternalTool.Run("cryptsetup", "token", "remove", "--token-id", "0", image).Succeeded();
        foreach (string known in Directory.GetFiles(_here["data/volumes"]))
        {
            File.Delete(known);
        }

        return image;
    }

    private static byte[] FirstBytes(string image)
    {
        using FileStream file = File.OpenRead(image);
        byte[] bytes = new byte[16384];
        file.ReadExactly(bytes);
        return bytes;
    }

    /// <summary>$1 is the folder of the test, $2 the image.</summary>
    private void Shell(int exitCode, string script, string image)
    {
        string setting = $"export VDISKCRYPT='{Installation.Command}' VDISKCRYPT_DATA_DIR='{_here["data"]}' VDISKCRYPT_RUNTIME_DIR='{_here["run"]}'\n";
        ToolResult result = ExternalTool.Bash(setting + script, Path.GetDirectoryName(_here["x"])!, image);
        Assert.True(result.ExitCode == exitCode, $"exit code {result.ExitCode} instead of {exitCode}\n{result.Output}\n{result.Error}");
    }
}
