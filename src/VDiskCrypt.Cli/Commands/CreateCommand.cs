using System.CommandLine;
using System.Text;
using System.Text.Json.Nodes;
using VDiskCrypt.Core;
using VDiskCrypt.Keys;
using VDiskCrypt.Volumes;

namespace VDiskCrypt.Cli;

/// <summary>`create`: a new image with an encrypted, formatted volume.</summary>
internal sealed class CreateCommand
{
    private readonly Argument<string> _image = new("IMAGE") { Description = "the image file to make" };
    private readonly Option<string> _size = new("--size")
    {
        Description = "the size of the virtual disk, as in 10G", HelpName = "SIZE", Required = true,
    };

    private readonly CreationOptions _creation;

    private CreateCommand(Command command)
    {
        command.Arguments.Add(_image);
        command.Options.Add(_size);
        _creation = new CreationOptions(command);
    }

    public static Command Build()
    {
        var command = new Command("create", """
            make a new image with an encrypted volume
            Example: vdiskcrypt create disk.vhdx --size 10G --passphrase-file secret.txt
            """);
        var create = new CreateCommand(command);
        command.SetBody(create.Run);
        return command;
    }

    private void Run(ParseResult parsed, Report report)
    {
        string image = parsed.GetRequiredValue(_image);
        using CreatedVolume created = _creation.Create(parsed, image, parsed.GetRequiredValue(_size));
        report.Notices(created.Notices);
        var document = new JsonObject
        {
            ["image"] = created.Path,
            ["format"] = created.Format,
            ["byteCount"] = created.ByteCount,
            ["uuid"] = created.Uuid,
        };
        List<string> lines = [$"{created.Path}: {created.Format}, {ByteSize.Format(created.ByteCount)}, volume {created.Uuid}"];
        CreationOptions.AddRecoveryKey(created, document, lines);
        report.Result(document, lines);
    }
}
