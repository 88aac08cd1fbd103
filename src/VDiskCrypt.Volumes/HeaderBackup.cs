using System.Security.Cryptography;
using VDiskCrypt.Core;
using VDiskCrypt.Luks;

namespace VDiskCrypt.Volumes;

/// <summary>
/// A file with both copies of a header and its keyslots area, byte for byte, as `cryptsetup luksHeaderRestore` takes it.
/// Whatever opened the volume when it was made opens the volume with it for ever.
/// </summary>
internal static class HeaderBackup
{
    private const int NameByteCount = 4;

    /// <summary>Durable on return, for its owner alone.</summary>
    /// <returns>The path of the file.</returns>
    public static string Write(LuksHeader header, IBlockDevice device, string folder)
    {
        byte[] content = new byte[header.HeaderAndKeyslotsByteSize];
        device.Read(0, content);
        string suffix = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(NameByteCount));
        string path = Path.Combine(folder, $"{CheckedUuid(header)}-{header.SequenceId}-{suffix}.luks2");
        try
        {
            using (var file = new FileStream(path, Options()))
            {
                file.Write(content);
                file.Flush(flushToDisk: true);
            }

            HostFile.FsyncDirectory(path);
            return path;
        }
        catch (Exception error) when (error is UnauthorizedAccessException or IOException and not VDiskException)
        {
            throw HostError.FromException(error, path);
        }
    }

    /// <summary>The backups of a volume's header that lie in a folder.</summary>
    public static string[] Find(LuksHeader header, string folder) => Directory.GetFiles(folder, $"{CheckedUuid(header)}-*.luks2");

    private static FileStreamOptions Options()
    {
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        }

        return options;
    }

    /// <summary>The UUID comes from the header: it becomes a file name only when it is a UUID.</summary>
    private static string CheckedUuid(LuksHeader header) => Guid.TryParseExact(header.Uuid, "D", out Guid parsed)
        ? parsed.ToString("D")
        : throw new VDiskException(FailureKind.Damaged, "the header's UUID is not one", "LUKS2 header", "repair the header from a backup");
}
