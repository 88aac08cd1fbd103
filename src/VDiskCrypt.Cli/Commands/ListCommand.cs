using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using VDiskCrypt.Core;
using VDiskCrypt.Volumes;

namespace VDiskCrypt.Cli;

/// <summary>`ls`: files of a volume that is not mounted.</summary>
internal sealed class ListCommand
{
    private readonly Argument<string[]> _paths = new("IMAGE:/PATH") { Description = "a folder or file", Arity = ArgumentArity.OneOrMore };
    private readonly Option<bool> _long = new("--long", "-l") { Description = "with mode, owner, size and time" };
    private readonly CredentialOptions _credentials;

    private ListCommand(Command command)
    {
        command.Arguments.Add(_paths);
        command.Options.Add(_long);
        _credentials = new CredentialOptions(command);
    }

    public static Command Build()
    {
        var command = new Command("ls", """
            list files in a volume without mounting it
            Example: vdiskcrypt ls -l disk.vhdx:/home --passphrase-file secret.txt
            """);
        var list = new ListCommand(command);
        command.SetBody(list.Run);
        return command;
    }

    private static JsonObject Document(VolumeTree tree, string folder, VolumeEntry entry)
    {
        InodeAttributes attributes = entry.Attributes;
        var document = new JsonObject
        {
            ["name"] = entry.Name,
            ["mode"] = attributes.Mode,
            ["inode"] = attributes.Inode,
            ["links"] = attributes.LinkCount,
            ["userId"] = attributes.UserId,
            ["groupId"] = attributes.GroupId,
            ["size"] = attributes.Size,
            ["modified"] = Iso(attributes.ModifyTime),
        };
        if (UnixMode.IsSymbolicLink(attributes.Mode))
        {
            document["target"] = tree.LinkTarget(attributes, $"{folder}/{entry.Name}");
        }

        return document;
    }

    private static string Iso(UnixTime time) => DateTime.UnixEpoch.AddSeconds(time.Seconds).ToString("yyyy-MM-ddTHH:mm:ss", CultureInfo.InvariantCulture)
        + $".{time.Nanoseconds:D9}Z";

    private static string Line(JsonObject entry) => string.Create(CultureInfo.InvariantCulture,
        $"{Modes((uint)entry["mode"]!)} {(uint)entry["links"]!,3} {(uint)entry["userId"]!,5} {(uint)entry["groupId"]!,5} {(long)entry["size"]!,12} {((string)entry["modified"]!)[..19]} {(string)entry["name"]!}")
        + (entry["target"] is { } target ? $" -> {(string)target!}" : "");

    private static string Modes(uint mode)
    {
        const string letters = "rwxrwxrwx";
        char type = (mode & UnixMode.TypeMask) switch
        {
            UnixMode.Directory => 'd',
            UnixMode.SymbolicLink => 'l',
            UnixMode.CharacterDevice => 'c',
            UnixMode.BlockDevice => 'b',
            UnixMode.Fifo => 'p',
            UnixMode.Socket => 's',
            _ => '-',
        };
        return type + string.Concat(letters.Select((letter, i) => (mode & (1u << (8 - i))) != 0 ? letter : '-'));
    }

    private void Run(ParseResult parsed, Report report)
    {
        var folders = new JsonArray();
        var lines = new List<string>();
        foreach (string argument in parsed.GetRequiredValue(_paths))
        {
            VolumePath path = VolumePath.ParseInVolume(argument);
            VolumeAccessor.WithFiles(parsed, _credentials, path.Image!, VolumeAccess.ReadOnly, report, tree =>
            {
                InodeAttributes target = tree.Resolve(path.Path);
                List<VolumeEntry> entries = UnixMode.IsDirectory(target.Mode)
                    ? tree.List(target, path.Path)
                    : [new VolumeEntry(path.Path, target)];
                JsonObject[] documents = [.. entries.Select(entry => Document(tree, path.Path, entry))];
                lines.AddRange(documents.Select(entry => parsed.GetValue(_long) ? Line(entry) : (string)entry["name"]!));
                folders.Add((JsonNode)new JsonObject { ["path"] = argument, ["entries"] = new JsonArray(documents) });
            });
        }

        report.Result(new JsonObject { ["folders"] = folders }, lines);
    }
}
