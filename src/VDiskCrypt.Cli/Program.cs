using System.CommandLine;
using VDiskCrypt.Core;

namespace VDiskCrypt.Cli;

/// <summary>The `vdiskcrypt` command.</summary>
internal static class Program
{
    private static int Main(string[] arguments)
    {
        HostProcess.FillStandardDescriptors();
        HostProcess.ForbidDumps();
        if (arguments is [DaemonEntry.Name, ..])
        {
            return DaemonEntry.Run();
        }

        System.Console.SetError(MessageStream.OpenError());
        RootCommand root = CommandTree.Build();
        ParseResult parsed = root.Parse(arguments);
        if (parsed.Errors.Count > 0)
        {
            foreach (System.CommandLine.Parsing.ParseError error in parsed.Errors)
            {
                System.Console.Error.WriteLine($"vdiskcrypt: {error.Message}");
            }

            System.Console.Error.WriteLine($"  do: see `vdiskcrypt {(parsed.CommandResult.Command == root ? "" : parsed.CommandResult.Command.Name + " ")}--help`");
            return ExitCode.Usage;
        }

        return parsed.Invoke();
    }
}
