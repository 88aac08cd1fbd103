using System.CommandLine;

namespace VDiskCrypt.Cli;

/// <summary>All commands.</summary>
internal static class CommandTree
{
    public static RootCommand Build()
    {
        var root = new RootCommand("encrypted virtual disks in user mode: LUKS2 in VHD, VHDX and raw images, mounted as plain folders");
        root.Options.Add(CommonOptions.Json);
        root.Options.Add(CommonOptions.Debug);
        Command[] commands =
        [
            CreateCommand.Build(), MountCommand.Build(), UnmountCommand.Build(), StatusCommand.Build(), InfoCommand.Build(),
            ListCommand.Build(), CatCommand.Build(), CopyCommand.Build(), DecryptCommand.Build(), KeyCommand.Build(), EraseCommand.Build(),
            BenchmarkCommand.Build(),
        ];
        foreach (Command command in commands)
        {
            root.Subcommands.Add(command);
        }

        return root;
    }
}
