using System.CommandLine;

namespace VDiskCrypt.Cli;

/// <summary>The options that every command takes, and the frame that every command runs in.</summary>
internal static class CommonOptions
{
    public static readonly Option<bool> Json = new("--json")
    {
        Description = "print one JSON document on standard output",
        Recursive = true,
    };

    public static readonly Option<bool> Debug = new("--debug")
    {
        Description = "show the stack trace of a failure",
        Recursive = true,
    };

    /// <summary>Runs a command's body; a failure becomes its message and its exit code.</summary>
    public static void SetBody(this Command command, Action<ParseResult, Report> body) => command.SetAction(parsed =>
    {
        var report = new Report(parsed.GetValue(Json), parsed.GetValue(Debug));
        try
        {
            body(parsed, report);
            return ExitCode.Done;
        }
        catch (Exception error)
        {
            return report.Failure(error);
        }
    });
}
