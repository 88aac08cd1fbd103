using System.Globalization;

namespace VDiskCrypt.Fuse;

/// <summary>How far the kernel reads ahead on a mount.</summary>
internal static class ReadAhead
{
    /// <summary>
    /// INIT can only lower the kernel's default of 128 KiB; raising it takes root, in sysfs. Where that is refused the
    /// default stands: slower, not wrong.
    /// </summary>
    public static void TryRaise(string deviceNumber, int byteCount)
    {
        string path = $"/sys/class/bdi/{deviceNumber}/read_ahead_kb";
        try
        {
            string text = File.ReadAllText(path);
            if (int.TryParse(text.Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out int kibibytes)
                && kibibytes < byteCount / 1024)
            {
                File.WriteAllText(path, (byteCount / 1024).ToString(CultureInfo.InvariantCulture));
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Not root, or no sysfs here.
        }
    }
}
