using System.CommandLine;
using System.Text.Json.Nodes;
using VDiskCrypt.Volumes;

namespace VDiskCrypt.Cli;

/// <summary>`key test`: whether a credential opens the volume, and which one did; changes nothing.</summary>
internal sealed class KeyTestCommand
{
    private readonly Argument<string> _image = KeyCommand.ImageArgument();
    private readonly CredentialOptions _credentials;

    private KeyTestCommand(Command command)
    {
        command.Arguments.Add(_image);
        _credentials = new CredentialOptions(command);
    }

    public static Command Build()
    {
        var command = new Command("test", """
            say which credential opens the volume: the named one, else its KEKs in their order
            Example: vdiskcrypt key test disk.vhdx --passphrase-file secret.txt
            """);
        var test = new KeyTestCommand(command);
        command.SetBody(test.Run);
        return command;
    }

    private void Run(ParseResult parsed, Report report)
    {
        ImageReference reference = ImageReference.Parse(parsed.GetRequiredValue(_image));
        using Credentials credentials = _credentials.ToUnlock(parsed, reference.ToString());
        using VolumeContainer container = VolumeContainer.Open(reference, VolumeAccess.ReadOnly, HostPaths.KnownVolumesFolder);
        using UnlockedKey key = container.Unlock(credentials);
        report.Notices(container.Notices);
        report.Result(new JsonObject { ["image"] = reference.Path, ["uuid"] = container.Uuid, ["keyslot"] = key.Keyslot, ["by"] = key.By },
            [$"keyslot {key.Keyslot} opens by {key.By}"]);
    }
}
