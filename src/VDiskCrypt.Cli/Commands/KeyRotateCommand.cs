using System.CommandLine;
using System.Text.Json.Nodes;
using VDiskCrypt.Keys;
using VDiskCrypt.Volumes;

namespace VDiskCrypt.Cli;

/// <summary>`key rotate`: another KEK, or a new version of one, in the place of an old one.</summary>
internal sealed class KeyRotateCommand
{
    private readonly Argument<string> _image = KeyCommand.ImageArgument();
    private readonly Option<string> _old = new("--kek") { Description = "the key encryption key to replace", HelpName = "URI", Required = true };
    private readonly Option<string> _new = new("--new-kek") { Description = "the key encryption key to put there", HelpName = "URI", Required = true };
    private readonly Option<bool> _dryRun = new("--dry-run") { Description = "say what would be done, and change nothing" };
    private readonly CredentialOptions _credentials;

    private KeyRotateCommand(Command command)
    {
        command.Arguments.Add(_image);
        command.Options.Add(_old);
        command.Options.Add(_new);
        command.Options.Add(_dryRun);
        _credentials = new CredentialOptions(command);
    }

    public static Command Build()
    {
        var command = new Command("rotate", """
            replace a KEK: the new one is added, read back and opened before the old one goes; run it again after an interruption
            Example: vdiskcrypt key rotate disk.vhdx --kek platform: --new-kek file:/media/escrow/key
            """);
        var rotate = new KeyRotateCommand(command);
        command.SetBody(rotate.Run);
        return command;
    }

    private void Run(ParseResult parsed, Report report)
    {
        bool dryRun = parsed.GetValue(_dryRun);
        KeyCommand.Edit(parsed, _image, _credentials, report, (editor, _) =>
        {
            KekUri newKey = KekUri.Parse(parsed.GetRequiredValue(_new));
            KekRotation rotation = editor.Rotate(KekUri.Parse(parsed.GetRequiredValue(_old)), newKey, dryRun, CancellationToken.None);
            if (rotation.BackupPath is { } backup)
            {
                KeyCommand.TellBackup(report, backup);
            }

            report.Result(new JsonObject
            {
                ["dryRun"] = dryRun,
                ["newKeyId"] = rotation.NewKeyId,
                ["addsKeyslot"] = rotation.AddsKeyslot,
                ["dropped"] = new JsonArray([.. rotation.DroppedKeyIds.Select(id => (JsonNode)id)]),
            }, Lines(rotation, newKey, dryRun));
        }, dryRun ? VolumeAccess.ReadOnly : VolumeAccess.ReadWrite);
    }

    private static IEnumerable<string> Lines(KekRotation rotation, KekUri newKey, bool dryRun)
    {
        string would = dryRun ? "would be " : "";
        string newId = rotation.NewKeyId ?? $"a new key {newKey}";
        yield return rotation.AddsKeyslot ? $"{would}added: {newId}" : $"there already: {newId}";
        foreach (string id in rotation.DroppedKeyIds)
        {
            yield return $"{would}dropped: {id}";
        }
    }
}
