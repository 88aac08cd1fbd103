using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using VDiskCrypt.Core;

namespace VDiskCrypt.Cli;

/// <summary>What the command says: results on stdout (text, or one JSON document), everything else on stderr.</summary>
internal sealed class Report
{
    /// <summary>The version field of every JSON document; raised when a field changes its meaning.</summary>
    private const int JsonVersion = 1;

    private static readonly JsonSerializerOptions JsonOptions = new()
    {
        WriteIndented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    public Report(bool json, bool debug)
    {
        Json = json;
        Debug = debug;
    }

    public bool Json { get; }

    public bool Debug { get; }

    /// <summary>The result: the JSON document where --json asks for it, otherwise the lines.</summary>
    public void Result(JsonObject document, IEnumerable<string> lines)
    {
        if (Json)
        {
            document.Insert(0, "version", JsonVersion);
            lines = [document.ToJsonString(JsonOptions)];
        }

        try
        {
            foreach (string line in lines)
            {
                System.Console.Out.WriteLine(line);
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new VDiskException(FailureKind.InputOutput, $"it is done, and its result cannot be written: {error.Message}", "standard output",
                "check where standard output goes", error);
        }
    }

    /// <summary>Something the user should know although the command goes on.</summary>
    public void Notice(string text) => System.Console.Error.WriteLine($"vdiskcrypt: {text}");

    public void Notices(IEnumerable<string> texts)
    {
        foreach (string text in texts)
        {
            Notice(text);
        }
    }

    /// <summary>What failed, where, and what to do: a line each. Returns the exit code.</summary>
    public int Failure(Exception error)
    {
        // What the runtime's own file calls throw is the host's answer, not a defect of this program.
        var known = error as VDiskException ?? (error is IOException or UnauthorizedAccessException
            ? HostError.FromException(error, "the files of this host")
            : null);
        if (known is not null)
        {
            Line($"vdiskcrypt: {known.Message}", known.Where is null ? null : $"  where: {known.Where}",
                known.Remedy is null ? null : $"  do: {known.Remedy}");
        }
        else
        {
            Line($"vdiskcrypt: internal error: {error.Message}", null, "  do: run it again with --debug and report what it prints");
        }

        if (Debug)
        {
            System.Console.Error.WriteLine(error);
        }

        return ExitCode.Of(known?.Kind ?? FailureKind.Internal);
    }

    private static void Line(params string?[] lines)
    {
        foreach (string? line in lines)
        {
            if (line is not null)
            {
                System.Console.Error.WriteLine(line);
            }
        }
    }
}
