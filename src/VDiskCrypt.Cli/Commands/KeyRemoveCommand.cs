using System.CommandLine;
using System.Text.Json.Nodes;
using VDiskCrypt.Core;
using VDiskCrypt.Keys;
using VDiskCrypt.Volumes;

namespace VDiskCrypt.Cli;

/// <summary>`key remove`: takes a keyslot, or all that a KEK guards, out of the header.</summary>
internal sealed class KeyRemoveCommand
{
    private readonly Argument<string> _image = KeyCommand.ImageArgument();
    private readonly Option<int?> _keyslot = new("--keyslot") { Description = "the number of the keyslot to remove", HelpName = "N" };
    private readonly Option<string?> _kek = new("--kek") { Description = "remove what this key encryption key guards", HelpName = "URI" };
    private readonly Option<bool> _force = new("--force") { Description = "even when only one credential is left then" };
    private readonly CredentialOptions _credentials;

    private KeyRemoveCommand(Command command)
    {
        command.Arguments.Add(_image);
        command.Options.Add(_keyslot);
        command.Options.Add(_kek);
        command.Options.Add(_force);
        _credentials = new CredentialOptions(command);
    }

    public static Command Build()
    {
        var command = new Command("remove", """
            remove a keyslot or a KEK; the last credential always stays, the last but one without --force too
            Example: vdiskcrypt key remove disk.vhdx --keyslot 2 --passphrase-file secret.txt
            """);
        var remove = new KeyRemoveCommand(command);
        command.SetBody(remove.Run);
        return command;
    }

    private void Run(ParseResult parsed, Report report)
    {
        if ((parsed.GetValue(_keyslot) is null) == (parsed.GetValue(_kek) is null))
        {
            throw new VDiskException(FailureKind.Usage, "one thing to remove is needed", null, "name either --keyslot N or --kek URI");
        }

        KeyCommand.Edit(parsed, _image, _credentials, report, (editor, key) =>
        {
            IReadOnlyList<int> keyslots = parsed.GetValue(_keyslot) is { } number ? [number] : editor.KeyslotsOf(KekUri.Parse(parsed.GetValue(_kek)!));
            if (keyslots.Count == 0)
            {
                throw new VDiskException(FailureKind.NotFound, $"{parsed.GetValue(_kek)} does not guard the volume", null, "see `vdiskcrypt key list`");
            }

            KeyCommand.TellBackup(report, editor.Remove(keyslots, parsed.GetValue(_force)));
            if (keyslots.Contains(key.Keyslot))
            {
                report.Notice("the credential that unlocked the volume just now was removed; test another with `vdiskcrypt key test`");
            }

            report.Result(new JsonObject
            {
                ["removed"] = new JsonArray([.. keyslots.Select(keyslot => (JsonNode)keyslot)]),
                ["credentialsLeft"] = editor.CredentialKeyslots.Count,
            }, [$"keyslot {string.Join(", ", keyslots)} removed; {editor.CredentialKeyslots.Count} left"]);
        });
    }
}
