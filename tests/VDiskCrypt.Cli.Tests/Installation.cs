using System.Diagnostics;
using System.Text.Json;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Cli.Tests;

/// <summary>
/// The built command with a home of its own: keys, state and mount points of one test. Dispose detaches what a failed
/// test left mounted.
/// </summary>
public sealed class Installation : IDisposable
{
    public const string Passphrase = "correct horse battery staple";

    private readonly ScratchFolder _scratch = new();
    private readonly List<string> _mountPoints = [];

    public Installation()
    {
        File.WriteAllText(this["passphrase"], Passphrase);
        Directory.CreateDirectory(this["data"], UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        Directory.CreateDirectory(this["run"], UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    public string this[string name] => _scratch[name];

    public static string Command { get; } = Environment.GetEnvironmentVariable("VDISKCRYPT_COMMAND") ?? FindBuilt();

    /// <summary>Runs the command and returns whatever happened.</summary>
    public ToolResult Run(params string[] arguments) => Run(input: null, arguments);

    public ToolResult Run(byte[]? input, params string[] arguments)
    {
        string[] environment = [$"VDISKCRYPT_DATA_DIR={this["data"]}", $"VDISKCRYPT_RUNTIME_DIR={this["run"]}", Command];
        return ExternalTool.Run("env", [.. environment, .. arguments], input, timeoutMs: 300_000);
    }

    /// <summary>Runs the command and asserts its exit code.</summary>
    public ToolResult Expect(int exitCode, params string[] arguments)
    {
        ToolResult result = Run(arguments);
        Assert.True(result.ExitCode == exitCode,
            $"vdiskcrypt {string.Join(' ', arguments)}: exit code {result.ExitCode} instead of {exitCode}\n{result.Output}\n{result.Error}");
        return result;
    }

    public JsonElement Json(params string[] arguments) =>
        JsonDocument.Parse(Expect(0, [.. arguments, "--json"]).OutputBytes).RootElement;

    /// <summary>An image made with cheap key derivation and the test's passphrase.</summary>
    public string Create(string name, string size = "64M", params string[] options)
    {
        Expect(0, ["create", this[name], "--size", size, "--pbkdf", "pbkdf2", "--iter-time", "10", "--no-recovery-key",
            "--passphrase-file", this["passphrase"], .. options]);
        return this[name];
    }

    /// <summary>Mounts with the test's passphrase; returns the mount point.</summary>
    public string Mount(string image, string name = "mnt", params string[] options)
    {
        string mountPoint = this[name];
        _mountPoints.Add(mountPoint);
        Expect(0, ["mount", image, mountPoint, "--passphrase-file", this["passphrase"], .. options]);
        return mountPoint;
    }

    /// <summary>A process that runs on, such as `mount --foreground`.</summary>
    public Process Start(params string[] arguments)
    {
        var start = new ProcessStartInfo(Command) { RedirectStandardError = true, RedirectStandardOutput = true };
        start.Environment["VDISKCRYPT_DATA_DIR"] = this["data"];
        start.Environment["VDISKCRYPT_RUNTIME_DIR"] = this["run"];
        foreach (string argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        return Process.Start(start)!;
    }

    public void Unmount(string mountPoint) => Expect(0, "unmount", mountPoint);

    /// <summary>The plaintext of an image's volume as a raw file.</summary>
    public string Decrypt(string image, string name = "plain.img")
    {
        Expect(0, "decrypt", image, this[name], "--passphrase-file", this["passphrase"]);
        return this[name];
    }

    /// <summary>Asserts that the real e2fsck finds nothing in an image's volume.</summary>
    public void AssertFileSystemIsClean(string image)
    {
        ExternalTool.Require("e2fsck");
        string plain = Decrypt(image, Path.GetFileName(image) + ".plain");
        ToolResult result = ExternalTool.Run("e2fsck", ["-fn", plain], null, timeoutMs: 300_000);
        Assert.True(result.ExitCode == 0, $"e2fsck -fn: exit code {result.ExitCode}\n{result.Output}");
        File.Delete(plain);
    }

    /// <summary>Skips where there is no /dev/fuse; where it exists, a mount that fails is a failure.</summary>
    public static void RequireFuse() => Assert.SkipUnless(File.Exists("/dev/fuse"), "there is no /dev/fuse");

    public void Dispose()
    {
        foreach (string mountPoint in _mountPoints)
        {
            ExternalTool.Bash("mountpoint -q \"$1\" || [ $? -ne 0 ] && { fusermount3 -u -z \"$1\" || umount -l \"$1\"; } 2>/dev/null; true", mountPoint);
        }

        _scratch.Dispose();
    }

    private static string FindBuilt()
    {
        string command = Path.Combine(Checkout.Root, "out", "vdiskcrypt", "vdiskcrypt");
        return File.Exists(command) ? command : throw new InvalidOperationException("run tools/build first");
    }
}
