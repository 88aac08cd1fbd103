using System.Globalization;
using System.Text;

namespace VDiskCrypt.Fuse;

/// <summary>One line of /proc/self/mountinfo (proc_pid_mountinfo(5)).</summary>
/// <param name="MountId">Unique among the mounts that there are now.</param>
/// <param name="DeviceNumber">"major:minor" of st_dev, which names the bdi in sysfs as well.</param>
/// <param name="MountPoint">An absolute path.</param>
/// <param name="FileSystemType">Type and subtype, "fuse.vdiskcrypt".</param>
/// <param name="Source">What was given as the source.</param>
internal sealed record MountTableEntry(
    int MountId, string DeviceNumber, string MountPoint, string FileSystemType, string Source);

/// <summary>
/// The mounts of this process' namespace. Reading the table asks nothing of the filesystems in it, so it is safe
/// whatever state they are in.
/// </summary>
internal static class MountTable
{
    private const string MountInfoPath = "/proc/self/mountinfo";

    /// <summary>In the order of the table: of two mounts on one mount point the later one is on top.</summary>
    public static List<MountTableEntry> Read()
    {
        var entries = new List<MountTableEntry>();
        foreach (string line in File.ReadLines(MountInfoPath))
        {
            if (TryParse(line, out MountTableEntry? entry))
            {
                entries.Add(entry);
            }
        }

        return entries;
    }

    /// <summary>The topmost mount on a mount point, or null where there is none.</summary>
    public static MountTableEntry? Find(string mountPoint) => Read().FindLast(entry => entry.MountPoint == mountPoint);

    internal static bool TryParse(string line, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out MountTableEntry? entry)
    {
        entry = null;
        string[] fields = line.Split(' ');
        int separator = Array.IndexOf(fields, "-");
        if (separator < 6 || fields.Length < separator + 3
            || !int.TryParse(fields[0], NumberStyles.None, CultureInfo.InvariantCulture, out int mountId))
        {
            return false;
        }

        entry = new MountTableEntry(
            mountId, fields[2], Unescape(fields[4]), fields[separator + 1], Unescape(fields[separator + 2]));
        return true;
    }

    /// <summary>Space, tab, newline and backslash are written as a backslash and three octal digits.</summary>
    private static string Unescape(string text)
    {
        if (!text.Contains('\\'))
        {
            return text;
        }

        var result = new StringBuilder(text.Length);
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] == '\\' && i + 3 < text.Length
                && text.AsSpan(i + 1, 3).IndexOfAnyExceptInRange('0', '7') < 0)
            {
                result.Append((char)(((text[i + 1] - '0') << 6) | ((text[i + 2] - '0') << 3) | (text[i + 3] - '0')));
                i += 3;
            }
            else
            {
                result.Append(text[i]);
            }
        }

        return result.ToString();
    }
}
