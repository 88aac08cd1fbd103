using System.CommandLine;
using System.Text;
using System.Text.Json.Nodes;
using VDiskCrypt.Core;
using VDiskCrypt.Keys;
using VDiskCrypt.Volumes;

namespace VDiskCrypt.Cli;

/// <summary>The options that shape a new volume.</summary>
internal sealed class CreationOptions
{
    private readonly Option<string?> _format = new("--format")
    {
        Description = "vhd, vhd-fixed, vhdx, vhdx-fixed or raw; otherwise by the extension (.vhd, .vhdx, else raw)",
    };

    private readonly Option<string> _fileSystem = new("--fs")
    {
        Description = "ext4, or none for a volume without a filesystem", DefaultValueFactory = _ => "ext4",
    };

    private readonly Option<string?> _fileSystemFeatures = new("--fs-features")
    {
        Description = "features of ext4 beyond the usual ones, comma-separated: metadata_csum_seed, orphan_file", HelpName = "LIST",
    };

    private readonly Option<string?> _label = new("--label") { Description = "the name of the volume, 16 bytes at most", HelpName = "TEXT" };

    private readonly Option<int> _sectorSize = new("--sector-size")
    {
        Description = "bytes per encrypted sector, 512 or 4096", DefaultValueFactory = _ => 4096,
    };

    private readonly Option<int> _keySize = new("--key-size")
    {
        Description = "bits of the volume key: 512 (AES-256-XTS) or 256 (AES-128-XTS)", DefaultValueFactory = _ => 512,
    };

    private readonly Option<string> _pbkdf = new("--pbkdf")
    {
        Description = "argon2id or pbkdf2, for passphrases and key files", DefaultValueFactory = _ => "argon2id",
    };

    private readonly Option<int> _iterationTime = new("--iter-time")
    {
        Description = "milliseconds that one unlock may take on this machine", HelpName = "MS", DefaultValueFactory = _ => 2000,
    };

    private readonly Option<string[]> _keks = new("--kek")
    {
        Description = "a key encryption key that unlocks the volume; may be given more than once", HelpName = "URI",
    };

    private readonly Option<bool> _noRecoveryKey = new("--no-recovery-key") { Description = "make no recovery key" };

    private readonly Option<bool> _noPartition = new("--no-partition")
    {
        Description = "let the volume fill the virtual disk, without a GPT",
    };

    private readonly CredentialOptions _credentials;

    /// <param name="command">Gets the options.</param>
    /// <param name="credentials">The command's own, where it has them already.</param>
    public CreationOptions(Command command, CredentialOptions? credentials = null)
    {
        _format.AcceptOnlyFromAmong(VolumeCreation.Formats);
        _fileSystem.AcceptOnlyFromAmong("ext4", "none");
        _pbkdf.AcceptOnlyFromAmong("argon2id", "pbkdf2");
        Option[] options = [_format, _fileSystem, _fileSystemFeatures, _label, _sectorSize, _keySize, _pbkdf, _iterationTime, _keks, _noRecoveryKey, _noPartition];
        foreach (Option option in options)
        {
            command.Options.Add(option);
        }

        _credentials = credentials ?? new CredentialOptions(command);
    }

    /// <summary>Puts the recovery key where it is shown, this once.</summary>
    public static void AddRecoveryKey(CreatedVolume created, JsonObject document, List<string> lines)
    {
        if (created.RecoveryKey is { } recoveryKey)
        {
            string text = Encoding.ASCII.GetString(recoveryKey.Span);
            document["recoveryKey"] = text;
            lines.Add($"recovery key (shown this once; keep it somewhere else): {text}");
        }
    }

    private static FileSystemFeatures FeaturesOf(string? list)
    {
        FileSystemFeatures features = FileSystemFeatures.None;
        foreach (string name in (list ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            features |= name switch
            {
                "metadata_csum_seed" => FileSystemFeatures.MetadataChecksumSeed,
                "orphan_file" => FileSystemFeatures.OrphanFile,
                _ => throw new VDiskException(
                    FailureKind.Usage, $"unknown filesystem feature '{name}'", "--fs-features", "use metadata_csum_seed, orphan_file"),
            };
        }

        return features;
    }

    public CreatedVolume Create(ParseResult parsed, string image, string size)
    {
        List<SecretMemory> secrets = _credentials.Read(parsed);
        try
        {
            string[] keks = parsed.GetValue(_keks) ?? [];
            bool embeddedDefault = keks.Length == 0 && secrets.Count == 0;
            return VolumeCreation.Create(new VolumeCreationOptions
            {
                Path = Path.GetFullPath(image),
                Format = parsed.GetValue(_format) ?? VolumeCreation.FormatOfExtension(image),
                ByteCount = ByteSize.Parse(size),
                WithFileSystem = parsed.GetValue(_fileSystem) == "ext4",
                FileSystemFeatures = FeaturesOf(parsed.GetValue(_fileSystemFeatures)),
                Label = parsed.GetValue(_label) ?? "",
                SectorByteCount = parsed.GetValue(_sectorSize),
                KeyBitCount = parsed.GetValue(_keySize),
                UseArgon2 = parsed.GetValue(_pbkdf) == "argon2id",
                IterationTimeMs = parsed.GetValue(_iterationTime),
                Keks = [.. (embeddedDefault ? ["platform:"] : keks).Select(KekUri.Parse)],
                Secrets = secrets,
                WithRecoveryKey = !parsed.GetValue(_noRecoveryKey),
                WithPartition = parsed.GetValue(_noPartition) ? false : null,
                OwnerUserId = OperatingSystem.IsWindows() ? 0 : HostStatus.CurrentUserId,
                OwnerGroupId = OperatingSystem.IsWindows() ? 0 : HostStatus.CurrentGroupId,
                KnownVolumesFolder = HostPaths.KnownVolumesFolder,
            }, CredentialOptions.Providers());
        }
        finally
        {
            secrets.ForEach(secret => secret.Dispose());
        }
    }
}
