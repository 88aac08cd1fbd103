using System.CommandLine;
using System.Text;
using System.Text.Json.Nodes;
using VDiskCrypt.Core;
using VDiskCrypt.Keys;
using VDiskCrypt.Luks;
using VDiskCrypt.Volumes;

namespace VDiskCrypt.Cli;

/// <summary>`key add`: one more passphrase, key file, recovery key or KEK.</summary>
internal sealed class KeyAddCommand
{
    private readonly Argument<string> _image = KeyCommand.ImageArgument();
    private readonly Option<string?> _kek = new("--new-kek") { Description = "the key encryption key to add", HelpName = "URI" };
    private readonly Option<string?> _passphraseFile = new("--new-passphrase-file")
    {
        Description = "read the passphrase to add from FILE; one trailing newline is dropped", HelpName = "FILE",
    };

    private readonly Option<string?> _keyFile = new("--new-key-file") { Description = "add the bytes of FILE as they are", HelpName = "FILE" };
    private readonly Option<bool> _recoveryKey = new("--new-recovery-key") { Description = "make a recovery key and show it this once" };
    private readonly Option<string> _pbkdf = new("--pbkdf")
    {
        Description = "argon2id or pbkdf2, for a passphrase or key file", DefaultValueFactory = _ => "argon2id",
    };

    private readonly Option<int> _iterationTime = new("--iter-time")
    {
        Description = "milliseconds that one unlock may take on this machine", HelpName = "MS", DefaultValueFactory = _ => 2000,
    };

    private readonly CredentialOptions _credentials;

    private KeyAddCommand(Command command)
    {
        _pbkdf.AcceptOnlyFromAmong("argon2id", "pbkdf2");
        command.Arguments.Add(_image);
        Option[] options = [_kek, _passphraseFile, _keyFile, _recoveryKey, _pbkdf, _iterationTime];
        foreach (Option option in options)
        {
            command.Options.Add(option);
        }

        _credentials = new CredentialOptions(command);
    }

    public static Command Build()
    {
        var command = new Command("add", """
            add one passphrase, key file, recovery key or KEK; unlocks with what opens the volume now
            Example: vdiskcrypt key add disk.vhdx --passphrase-file old.txt --new-kek file:/media/escrow/key
            """);
        var add = new KeyAddCommand(command);
        command.SetBody(add.Run);
        return command;
    }

    private void Run(ParseResult parsed, Report report)
    {
        bool[] named = [parsed.GetValue(_kek) is not null, parsed.GetValue(_passphraseFile) is not null,
            parsed.GetValue(_keyFile) is not null, parsed.GetValue(_recoveryKey)];
        if (named.Count(isNamed => isNamed) != 1 || parsed.GetValue(_iterationTime) <= 0)
        {
            throw new VDiskException(FailureKind.Usage, "one thing to add is needed", null,
                "name one of --new-kek, --new-passphrase-file, --new-key-file and --new-recovery-key; --iter-time is positive");
        }

        KeyCommand.Edit(parsed, _image, _credentials, report, (editor, _) =>
        {
            var document = new JsonObject();
            var lines = new List<string>();
            if (parsed.GetValue(_kek) is { } kek)
            {
                (int keyslot, string keyId) = editor.AddKek(KekUri.Parse(kek), CancellationToken.None);
                document["keyslot"] = keyslot;
                document["keyId"] = keyId;
                lines.Add($"keyslot {keyslot} added, guarded by {keyId}");
            }
            else
            {
                AddSecret(parsed, editor, document, lines);
            }

            report.Result(document, lines);
        });
    }

    private void AddSecret(ParseResult parsed, KeyEditor editor, JsonObject document, List<string> lines)
    {
        using SecretMemory secret = parsed.GetValue(_passphraseFile) is { } passphraseFile ? SecretSource.PassphraseFile(passphraseFile)
            : parsed.GetValue(_keyFile) is { } keyFile ? SecretSource.KeyFile(keyFile)
            : RecoveryKey.Create();
        int time = parsed.GetValue(_iterationTime);
        LuksKdf kdf = parsed.GetValue(_recoveryKey) ? LuksKdf.ForRandomSecret
            : parsed.GetValue(_pbkdf) == "argon2id" ? LuksKdf.MeasureArgon2id(time) : LuksKdf.MeasurePbkdf2(time);
        int keyslot = editor.AddSecret(secret, kdf);
        document["keyslot"] = keyslot;
        lines.Add($"keyslot {keyslot} added");
        if (parsed.GetValue(_recoveryKey))
        {
            string text = Encoding.ASCII.GetString(secret.Span);
            document["recoveryKey"] = text;
            lines.Add($"recovery key (shown this once; keep it somewhere else): {text}");
        }
    }
}
