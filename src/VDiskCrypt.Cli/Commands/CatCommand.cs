using System.CommandLine;
using VDiskCrypt.Core;
using VDiskCrypt.Volumes;

namespace VDiskCrypt.Cli;

/// <summary>`cat`: the bytes of files of a volume that is not mounted, on standard output.</summary>
internal sealed class CatCommand
{
    private readonly Argument<string[]> _paths = new("IMAGE:/PATH") { Description = "a file", Arity = ArgumentArity.OneOrMore };
    private readonly CredentialOptions _credentials;

    private CatCommand(Command command)
    {
        command.Arguments.Add(_paths);
        _credentials = new CredentialOptions(command);
    }

    public static Command Build()
    {
        var command = new Command("cat", """
            write files of a volume to standard output without mounting it
            Example: vdiskcrypt cat disk.vhdx:/etc/hosts --passphrase-file secret.txt
            """);
        var cat = new CatCommand(command);
        command.SetBody(cat.Run);
        return command;
    }

    private void Run(ParseResult parsed, Report report)
    {
        using Stream output = StandardOutput.Open();
        foreach (string argument in parsed.GetRequiredValue(_paths))
        {
            VolumePath path = VolumePath.ParseInVolume(argument);
            VolumeAccessor.WithFiles(parsed, _credentials, path.Image!, VolumeAccess.ReadOnly, report, tree =>
            {
                InodeAttributes file = tree.Resolve(path.Path);
                VolumeTree.Check(UnixMode.IsDirectory(file.Mode) ? FileSystemError.IsDirectory : FileSystemError.None, argument);
                new FileCopy(tree, report).ToStream(file, argument, output);
            });
        }
    }
}
