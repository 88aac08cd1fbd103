using System.CommandLine;
using VDiskCrypt.Core;
using VDiskCrypt.Volumes;

namespace VDiskCrypt.Cli;

/// <summary>Opens a volume in this process, for the commands that work without a mount.</summary>
internal static class VolumeAccessor
{
    public static Volume Open(ParseResult parsed, CredentialOptions options, string image, VolumeAccess access, Report report)
    {
        VolumeContainer container = VolumeContainer.Open(ImageReference.Parse(image), access, HostPaths.KnownVolumesFolder);
        try
        {
            using Credentials credentials = options.ToUnlock(parsed, image);
            using UnlockedKey key = container.Unlock(credentials);
            report.Notices(container.Notices);
            return Volume.Open(container, key.VolumeKey);
        }
        catch
        {
            container.Dispose();
            throw;
        }
    }

    /// <summary>Opens the volume with its filesystem, runs the body, and closes both so that everything is written.</summary>
    public static void WithFiles(
        ParseResult parsed, CredentialOptions options, string image, VolumeAccess access, Report report, Action<VolumeTree> body)
    {
        using Volume volume = Open(parsed, options, image, access, report);
        IFileSystem files = volume.OpenFileSystem(new FileSystemOptions { ReadOnly = access == VolumeAccess.ReadOnly });
        report.Notices(volume.Notices);
        body(new VolumeTree(files));
        if (access == VolumeAccess.ReadWrite)
        {
            VolumeTree.Check(files.SyncAll(), image);
        }
    }
}
