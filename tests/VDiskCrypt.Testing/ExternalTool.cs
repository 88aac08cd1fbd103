using System.Diagnostics;
using System.Text;
using Xunit;

namespace VDiskCrypt.Testing;

/// <summary>What an external program printed and returned.</summary>
public sealed record ToolResult(int ExitCode, byte[] OutputBytes, string Error)
{
    public string Output => Encoding.UTF8.GetString(OutputBytes);

    /// <summary>This result, after asserting that the program ended with 0.</summary>
    public ToolResult Succeeded()
    {
        Assert.True(ExitCode == 0, $"exit code {ExitCode}\n{Output}\n{Error}");
        return this;
    }
}

/// <summary>Runs real programs beside the code under test, each with a time limit.</summary>
public static class ExternalTool
{
    /// <summary>Skips the running test, saying why, where the program is not installed.</summary>
    public static void Require(string program) =>
        Assert.SkipUnless(Find(program) is not null, $"{program} is not installed");

    public static string? Find(string program)
    {
        string path = Environment.GetEnvironmentVariable("PATH") + ":/usr/sbin:/sbin:/usr/bin";
        return path.Split(':').Select(folder => Path.Combine(folder, program)).FirstOrDefault(File.Exists);
    }

    public static ToolResult Run(string program, params string[] arguments) =>
        Run(program, arguments, input: null, timeoutMs: 120_000);

    /// <summary>A bash script; $1, $2, ... are the arguments.</summary>
    public static ToolResult Bash(string script, params string[] arguments) =>
        Run("bash", ["-c", "export PATH=$PATH:/usr/sbin:/sbin\n" + script, "bash", .. arguments], null, 300_000);

    public static ToolResult Run(
        string program, string[] arguments, byte[]? input, int timeoutMs, string? workingFolder = null)
    {
        var start = new ProcessStartInfo(Find(program) ?? program)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = workingFolder ?? "",
        };
        foreach (string argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        using Process process = Process.Start(start)!;
        var output = new MemoryStream();
        Task copyOutput = process.StandardOutput.BaseStream.CopyToAsync(output);
        Task<string> error = process.StandardError.ReadToEndAsync();
        try
        {
            if (input is not null)
            {
                process.StandardInput.BaseStream.Write(input);
            }

            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // The program ended without reading its input; its exit code tells the story.
        }

        if (!process.WaitForExit(timeoutMs))
        {
            process.Kill(entireProcessTree: true);
            Assert.Fail($"{program} {string.Join(' ', arguments)} ran longer than {timeoutMs} ms");
        }

        Task.WaitAll([copyOutput, error], 10_000);
        return new ToolResult(process.ExitCode, output.ToArray(), error.Result);
    }
}
