using VDiskCrypt.Core;
using VDiskCrypt.Crypto;

namespace VDiskCrypt.Volumes;

/// <summary>
/// Remembers, outside the images, which volumes have an authenticated header: one empty file per volume UUID, and one
/// per volume key, since the UUID is a field that anybody can change. Whoever removes the token from a header cannot
/// remove these. The key's file is named by an HKDF output, which says nothing of the key.
/// </summary>
internal sealed class KnownVolumes(string folder)
{
    private const int KeyNameByteCount = 16;

    private static ReadOnlySpan<byte> KeyNameInfo => "vdiskcrypt known volume v1"u8;

    public bool IsAuthenticated(string uuid, SecretMemory volumeKey) => File.Exists(PathOf(uuid)) || File.Exists(PathOf(volumeKey));

    public void Remember(string uuid, SecretMemory volumeKey)
    {
        string[] missing = [.. new[] { PathOf(uuid), PathOf(volumeKey) }.Where(path => !File.Exists(path))];
        foreach (string path in missing)
        {
            Make(path);
        }
    }

    private void Make(string path)
    {
        try
        {
            Directory.CreateDirectory(folder);
            File.WriteAllBytes(path, []);
        }
        catch (Exception error) when (error is UnauthorizedAccessException or IOException and not VDiskException)
        {
            throw HostError.FromException(error, path);
        }

        HostFile.FsyncDirectory(path);
    }

    /// <summary>The UUID comes from the header: it becomes a file name only when it is a UUID.</summary>
    private string PathOf(string uuid) => Guid.TryParseExact(uuid, "D", out Guid parsed)
        ? Path.Combine(folder, parsed.ToString("D") + ".authenticated")
        : throw new VDiskException(FailureKind.Damaged, "the header's UUID is not one", "LUKS2 header", "repair the header from a backup");

    private string PathOf(SecretMemory volumeKey)
    {
        Span<byte> name = stackalloc byte[KeyNameByteCount];
        HkdfSha256.Derive(volumeKey.Span, salt: default, KeyNameInfo, name);
        return Path.Combine(folder, $"key-{Convert.ToHexStringLower(name)}.authenticated");
    }
}
