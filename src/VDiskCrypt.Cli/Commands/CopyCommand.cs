using System.CommandLine;
using System.Text.Json.Nodes;
using VDiskCrypt.Core;
using VDiskCrypt.Volumes;

namespace VDiskCrypt.Cli;

/// <summary>`cp`: files and folders into and out of a volume that is not mounted.</summary>
internal sealed class CopyCommand
{
    private readonly Argument<string> _source = new("SOURCE") { Description = "a path of this host, or IMAGE:/PATH" };
    private readonly Argument<string> _target = new("TARGET") { Description = "IMAGE:/PATH, or a path of this host" };
    private readonly Option<bool> _recursive = new("--recursive", "-r") { Description = "folders with all that is in them" };
    private readonly CredentialOptions _credentials;

    private CopyCommand(Command command)
    {
        command.Arguments.Add(_source);
        command.Arguments.Add(_target);
        command.Options.Add(_recursive);
        _credentials = new CredentialOptions(command);
    }

    public static Command Build()
    {
        var command = new Command("cp", """
            copy files into or out of a volume without mounting it
            Example: vdiskcrypt cp -r disk.vhdx:/etc ./etc-copy --passphrase-file secret.txt
            """);
        var copy = new CopyCommand(command);
        command.SetBody(copy.Run);
        return command;
    }

    private static void FromVolume(VolumeTree tree, FileCopy copy, VolumePath source, string target, bool recursive)
    {
        InodeAttributes file = tree.Resolve(source.Path);
        string name = Path.GetFileName(source.Path.TrimEnd('/'));
        string place = Directory.Exists(target) && name.Length > 0 ? Path.Combine(target, name) : target;
        copy.ToHost(file, source.Path, place, recursive);
    }

    private static void IntoVolume(VolumeTree tree, FileCopy copy, string source, VolumePath target, bool recursive)
    {
        string name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(source)));
        (InodeAttributes folder, string targetName) = tree.ResolveParent(target.Path);
        if (targetName.Length == 0)
        {
            copy.ToVolume(source, folder, name, $"/{name}", recursive);
        }
        else if (tree.Find(folder, targetName) is { } existing && UnixMode.IsDirectory(existing.Attributes.Mode))
        {
            copy.ToVolume(source, existing.Attributes, name, $"{target.Path.TrimEnd('/')}/{name}", recursive);
        }
        else
        {
            copy.ToVolume(source, folder, targetName, target.Path, recursive);
        }
    }

    private void Run(ParseResult parsed, Report report)
    {
        VolumePath source = VolumePath.Parse(parsed.GetRequiredValue(_source));
        VolumePath target = VolumePath.Parse(parsed.GetRequiredValue(_target));
        if (!source.IsInVolume && !target.IsInVolume
            && new[] { source.Path, target.Path }.FirstOrDefault(path => path.Contains(":/", StringComparison.Ordinal)) is { } missing)
        {
            throw new VDiskException(FailureKind.NotFound, "there is no such image", missing, "write IMAGE:/PATH, where IMAGE is an existing image");
        }

        if (source.IsInVolume == target.IsInVolume)
        {
            throw new VDiskException(FailureKind.Usage, "one of the two paths must be IMAGE:/PATH, the other a path of this host",
                $"{parsed.GetRequiredValue(_source)} and {parsed.GetRequiredValue(_target)}", "copy out and in again between two volumes");
        }

        bool recursive = parsed.GetValue(_recursive);
        string image = source.Image ?? target.Image!;
        VolumeAccess access = source.IsInVolume ? VolumeAccess.ReadOnly : VolumeAccess.ReadWrite;
        long files = 0;
        long bytes = 0;
        VolumeAccessor.WithFiles(parsed, _credentials, image, access, report, tree =>
        {
            var copy = new FileCopy(tree, report);
            if (source.IsInVolume)
            {
                FromVolume(tree, copy, source, target.Path, recursive);
            }
            else
            {
                IntoVolume(tree, copy, source.Path, target, recursive);
            }

            files = copy.CopiedFileCount;
            bytes = copy.CopiedByteCount;
        });
        report.Result(new JsonObject { ["fileCount"] = files, ["byteCount"] = bytes }, []);
    }
}
