using System.CommandLine;
using VDiskCrypt.Core;
using VDiskCrypt.Volumes;

namespace VDiskCrypt.Cli;

/// <summary>`key`: the keyslots of a volume and the KEKs that guard them.</summary>
internal static class KeyCommand
{
    public static Command Build()
    {
        var command = new Command("key", """
            what opens a volume: passphrases, key files, recovery keys and key encryption keys
            Example: vdiskcrypt key list disk.vhdx
            """);
        Command[] commands =
        [
            KeyListCommand.Build(), KeyAddCommand.Build(), KeyRemoveCommand.Build(), KeyRotateCommand.Build(), KeyTestCommand.Build(),
        ];
        foreach (Command subcommand in commands)
        {
            command.Subcommands.Add(subcommand);
        }

        return command;
    }

    public static Argument<string> ImageArgument() => new("IMAGE") { Description = "the image, or IMAGE#N for its partition N" };

    /// <summary>Opens an image, unlocks it, and hands over its keys.</summary>
    public static void Edit(
        ParseResult parsed, Argument<string> image, CredentialOptions options, Report report, Action<KeyEditor, UnlockedKey> body,
        VolumeAccess access = VolumeAccess.ReadWrite)
    {
        ImageReference reference = ImageReference.Parse(parsed.GetRequiredValue(image));
        using Credentials credentials = options.ToUnlock(parsed, reference.ToString());
        using VolumeContainer container = VolumeContainer.Open(reference, access, HostPaths.KnownVolumesFolder);
        using UnlockedKey key = container.Unlock(credentials);
        report.Notices(container.Notices);
        body(container.EditKeys(key.VolumeKey, credentials.Providers, HostPaths.HeaderBackupFolder), key);
    }

    /// <summary>An old header brings its keyslots back: the user must know of the file.</summary>
    public static void TellBackup(Report report, string path) => report.Notice(
        $"the header before this change is kept in {path}; what was removed still opens the volume with it: delete it when all is well");
}
