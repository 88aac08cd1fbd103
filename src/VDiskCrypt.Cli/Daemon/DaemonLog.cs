using System.Globalization;

namespace VDiskCrypt.Cli;

/// <summary>The daemon's messages, a line each, with the time in UTC; standard error is its log file by then.</summary>
internal static class DaemonLog
{
    public static void Write(string message) => System.Console.Error.WriteLine(
        $"{DateTime.UtcNow.ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture)} {message}");
}
