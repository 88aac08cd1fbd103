using System.CommandLine;
using VDiskCrypt.Core;
using VDiskCrypt.Keys;
using VDiskCrypt.Volumes;

namespace VDiskCrypt.Cli;

/// <summary>Where a command gets its passphrase or key file from.</summary>
internal sealed class CredentialOptions
{
    private readonly Option<string?> _passphraseFile = new("--passphrase-file")
    {
        Description = "read the passphrase from FILE (- is standard input); one trailing newline is dropped",
        HelpName = "FILE",
    };

    private readonly Option<string?> _keyFile = new("--key-file")
    {
        Description = "use the bytes of FILE as they are, as cryptsetup does",
        HelpName = "FILE",
    };

    private readonly Option<int?> _passphraseDescriptor = new("--passphrase-fd")
    {
        Description = "read the passphrase from file descriptor N",
        HelpName = "N",
    };

    public CredentialOptions(Command command)
    {
        command.Options.Add(_passphraseFile);
        command.Options.Add(_keyFile);
        command.Options.Add(_passphraseDescriptor);
    }

    public static KekProviders Providers() => new([new PlatformKekProvider(HostPaths.KeyFolder), new FileKekProvider()]);

    /// <summary>The secrets that the options name, in the order in which they are tried.</summary>
    public List<SecretMemory> Read(ParseResult parsed)
    {
        var secrets = new List<SecretMemory>();
        if (parsed.GetValue(_passphraseFile) is { } passphraseFile)
        {
            secrets.Add(SecretSource.PassphraseFile(passphraseFile));
        }

        if (parsed.GetValue(_passphraseDescriptor) is { } descriptor)
        {
            secrets.Add(SecretSource.PassphraseDescriptor(descriptor));
        }

        if (parsed.GetValue(_keyFile) is { } keyFile)
        {
            secrets.Add(SecretSource.KeyFile(keyFile));
        }

        return secrets;
    }

    /// <summary>What to unlock a volume with: the named secrets; where none is named, its KEKs and then the terminal.</summary>
    public Credentials ToUnlock(ParseResult parsed, string image)
    {
        List<SecretMemory> secrets = Read(parsed);
        bool mayAsk = secrets.Count == 0 && PassphrasePrompt.IsPossible;
        return new Credentials(secrets, Providers())
        {
            Ask = mayAsk ? () => PassphrasePrompt.Ask($"Passphrase or recovery key of {image}: ") : null,
        };
    }
}
