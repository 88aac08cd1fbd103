using System.CommandLine;
using System.Text.Json.Nodes;
using VDiskCrypt.Core;
using VDiskCrypt.Volumes;

namespace VDiskCrypt.Cli;

/// <summary>`erase`: destroys the keyslots and tokens of a volume, and with them its data.</summary>
internal sealed class EraseCommand
{
    private const string Confirmation = "ERASE";

    private readonly Argument<string> _image = KeyCommand.ImageArgument();
    private readonly Option<bool> _yes = new("--yes") { Description = "do not ask" };

    public static Command Build()
    {
        var command = new Command("erase", """
            destroy all that opens a volume; its data is lost for ever; needs no secret
            Example: vdiskcrypt erase disk.vhdx --yes
            """);
        var erase = new EraseCommand();
        command.Arguments.Add(erase._image);
        command.Options.Add(erase._yes);
        command.SetBody(erase.Run);
        return command;
    }

    private void Run(ParseResult parsed, Report report)
    {
        ImageReference reference = ImageReference.Parse(parsed.GetRequiredValue(_image));
        using VolumeContainer container = VolumeContainer.Open(reference, VolumeAccess.ReadWrite, HostPaths.KnownVolumesFolder);
        report.Notices(container.Notices);
        if (!parsed.GetValue(_yes))
        {
            Confirm(reference, container.Uuid);
        }

        int keyslots = container.Header.Keyslots.Count;
        int tokens = container.Header.Tokens.Count;
        string[] backups = container.Erase(HostPaths.HeaderBackupFolder);
        foreach (string backup in backups)
        {
            report.Notice($"this header backup still opens the volume, with what opened it then: {backup}");
        }

        report.Notice("any other copy of the header (`cryptsetup luksHeaderBackup`, snapshots, copies of the image) still opens it too, "
            + "and so may old blocks that a solid-state disk keeps; a KEK that guarded it should be disabled");
        report.Result(new JsonObject
        {
            ["image"] = reference.Path,
            ["uuid"] = container.Uuid,
            ["keyslotsErased"] = keyslots,
            ["tokensErased"] = tokens,
            ["headerBackups"] = new JsonArray([.. backups.Select(backup => (JsonNode)backup)]),
        }, [$"{reference}: {keyslots} keyslots and {tokens} tokens erased"]);
    }

    private static void Confirm(ImageReference reference, string uuid)
    {
        if (!PassphrasePrompt.IsPossible)
        {
            throw new VDiskException(FailureKind.Usage, "erasing was not confirmed; nothing was changed", reference.ToString(), "say --yes");
        }

        System.Console.Error.Write($"All data of volume {uuid} in {reference} will be lost. Type {Confirmation} to go on: ");
        if (System.Console.In.ReadLine() != Confirmation)
        {
            throw new VDiskException(FailureKind.Usage, "erasing was not confirmed; nothing was changed", reference.ToString());
        }
    }
}
