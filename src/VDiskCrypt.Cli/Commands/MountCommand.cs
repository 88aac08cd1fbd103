using System.CommandLine;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using VDiskCrypt.Core;
using VDiskCrypt.Fuse;
using VDiskCrypt.Volumes;

namespace VDiskCrypt.Cli;

/// <summary>`mount`: the volume as a plain folder. Returns when the folder is usable; a daemon serves it from then on.</summary>
internal sealed class MountCommand
{
    private readonly Argument<string> _image = new("IMAGE") { Description = "the image, or IMAGE#N for its partition N" };
    private readonly Argument<string> _directory = new("DIR") { Description = "the mount point; made when it is missing" };
    private readonly Option<string?> _create = new("--create") { Description = "make the image first, of this size", HelpName = "SIZE" };
    private readonly Option<bool> _readOnly = new("--read-only") { Description = "refuse every write" };
    private readonly Option<bool> _foreground = new("--foreground")
    {
        Description = "stay, and end when the mount ends (for service managers)",
    };

    private readonly Option<string[]> _mountOptions = new("-o")
    {
        Description = "comma-separated: ro, allow_other, discard, strict_order (no writeback cache)", HelpName = "OPTIONS",
    };

    private readonly CredentialOptions _credentials;
    private readonly CreationOptions _creation;

    private MountCommand(Command command)
    {
        command.Arguments.Add(_image);
        command.Arguments.Add(_directory);
        Option[] options = [_create, _readOnly, _foreground, _mountOptions];
        foreach (Option option in options)
        {
            command.Options.Add(option);
        }

        _credentials = new CredentialOptions(command);
        _creation = new CreationOptions(command, _credentials);
    }

    public static Command Build()
    {
        var command = new Command("mount", """
            mount an encrypted volume as a plain folder
            Example: vdiskcrypt mount --create 1G secret.vhdx ./secret
            """);
        var mount = new MountCommand(command);
        command.SetBody(mount.Run);
        return command;
    }

    private void Run(ParseResult parsed, Report report)
    {
        if (ForegroundUnlock.IsThisProcess)
        {
            ForegroundUnlock.Hand(() => Unlock(parsed));
            return;
        }

        MountRequest request = Request(parsed);
        HostPaths.ControlSocket(request);
        MakeMountPoint(request.MountPoint);
        if (parsed.GetValue(_foreground))
        {
            using UnlockedVolume unlocked = ForegroundUnlock.InChild();
            report.Notices(unlocked.Notices);
            if (MountDaemon.Run(request, unlocked.Key, report.Notices) != ExitCode.Done)
            {
                throw new VDiskException(FailureKind.InputOutput, "not everything could be written", request.Image,
                    "see the messages above; check the filesystem before it is used again");
            }

            return;
        }

        using (UnlockedVolume unlocked = Unlock(parsed))
        {
            report.Notices(unlocked.Notices);
            DaemonAnswer answer;
            try
            {
                answer = DaemonLauncher.Start(request, unlocked.Key);
            }
            catch (VDiskException)
            {
                // A recovery key is shown once: it must not be lost because the mount failed after the creation.
                unlocked.Lines.ForEach(report.Notice);
                throw;
            }

            report.Notices(answer.Notices);
            unlocked.Document["mountPoint"] = request.MountPoint;
            unlocked.Document["log"] = request.LogPath;
            report.Result(unlocked.Document, [.. unlocked.Lines, $"{request.Image} is mounted at {request.MountPoint}"]);
        }
    }

    /// <summary>Everything about the mount point that can be refused is, before a passphrase is asked for or an image made.</summary>
    private static void MakeMountPoint(string path)
    {
        try
        {
            Directory.CreateDirectory(path);
        }
        catch (IOException)
        {
            // Something is there: a file, or the mount of a dead daemon. The check below tells.
        }
        catch (UnauthorizedAccessException error)
        {
            throw new VDiskException(FailureKind.NotPermitted, "the mount point cannot be made", path, "name a folder of your own", error);
        }

        FuseMounts.PrepareMountPoint(path);
    }

    private UnlockedVolume Unlock(ParseResult parsed)
    {
        string image = parsed.GetRequiredValue(_image);
        return parsed.GetValue(_create) is { } size ? Created(parsed, image, size) : Opened(parsed, image);
    }

    private UnlockedVolume Created(ParseResult parsed, string image, string size)
    {
        using CreatedVolume created = _creation.Create(parsed, image, size);
        var unlocked = new UnlockedVolume(created.VolumeKey.Copy());
        unlocked.Notices.AddRange(created.Notices);
        unlocked.Document["image"] = created.Path;
        unlocked.Document["uuid"] = created.Uuid;
        CreationOptions.AddRecoveryKey(created, unlocked.Document, unlocked.Lines);
        return unlocked;
    }

    private UnlockedVolume Opened(ParseResult parsed, string image)
    {
        ImageReference reference = ImageReference.Parse(image);
        VolumeAccess access = IsReadOnly(parsed) ? VolumeAccess.ReadOnly : VolumeAccess.ReadWrite;
        using VolumeContainer container = VolumeContainer.Open(reference, access, HostPaths.KnownVolumesFolder);
        using Credentials credentials = _credentials.ToUnlock(parsed, image);
        using UnlockedKey key = container.Unlock(credentials);
        var unlocked = new UnlockedVolume(key.VolumeKey.Copy());
        unlocked.Notices.AddRange(container.Notices);
        unlocked.Document["image"] = reference.Path;
        unlocked.Document["uuid"] = container.Uuid;
        unlocked.Document["unlockedBy"] = key.By;
        return unlocked;
    }

    private bool IsReadOnly(ParseResult parsed) => parsed.GetValue(_readOnly) || OptionWords(parsed).Contains("ro");

    private HashSet<string> OptionWords(ParseResult parsed)
    {
        HashSet<string> words = [.. (parsed.GetValue(_mountOptions) ?? [])
            .SelectMany(list => list.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))];
        string[] known = ["ro", "rw", "allow_other", "discard", "strict_order"];
        return words.FirstOrDefault(word => !known.Contains(word)) is { } unknown
            ? throw new VDiskException(FailureKind.Usage, $"unknown mount option '{unknown}'", "-o", $"use {string.Join(", ", known)}")
            : words;
    }

    private MountRequest Request(ParseResult parsed)
    {
        ImageReference reference = ImageReference.Parse(parsed.GetRequiredValue(_image));
        HashSet<string> words = OptionWords(parsed);
        string mountPoint = Path.TrimEndingDirectorySeparator(Path.GetFullPath(parsed.GetRequiredValue(_directory)));
        string id = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(mountPoint)).AsSpan(0, 8));
        return new MountRequest
        {
            Id = id,
            Image = reference.Path,
            Partition = reference.Partition,
            MountPoint = mountPoint,
            ReadOnly = IsReadOnly(parsed),
            AllowOther = words.Contains("allow_other"),
            Discard = words.Contains("discard"),
            StrictOrder = words.Contains("strict_order"),
            LogPath = Path.Combine(HostPaths.LogFolder, id + ".log"),
            RuntimeFolder = HostPaths.RuntimeFolder,
            KnownVolumesFolder = HostPaths.KnownVolumesFolder,
        };
    }
}
