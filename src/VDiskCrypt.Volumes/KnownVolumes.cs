using VDiskCrypt.Core;

namespace VDiskCrypt.Volumes;

/// <summary>
/// Remembers, outside the images, which volumes have an authenticated header: one empty file per volume UUID. Whoever
/// removes the token from a header cannot remove this.
/// </summary>
internal sealed class KnownVolumes(string folder)
{
    public bool IsAuthenticated(string uuid) => File.Exists(PathOf(uuid));

    public void Remember(string uuid)
    {
        if (IsAuthenticated(uuid))
        {
            return;
        }

        Directory.CreateDirectory(folder);
        File.WriteAllBytes(PathOf(uuid), []);
        HostFile.FsyncDirectory(PathOf(uuid));
    }

    /// <summary>The UUID comes from the header: it becomes a file name only when it is a UUID.</summary>
    private string PathOf(string uuid) => Guid.TryParseExact(uuid, "D", out Guid parsed)
        ? Path.Combine(folder, parsed.ToString("D") + ".authenticated")
        : throw new VDiskException(FailureKind.Damaged, "the header's UUID is not one", "LUKS2 header", "repair the header from a backup");
}
