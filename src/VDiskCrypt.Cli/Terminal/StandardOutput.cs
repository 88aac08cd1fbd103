using VDiskCrypt.Core;

namespace VDiskCrypt.Cli;

/// <summary>Standard output for bytes.</summary>
internal static class StandardOutput
{
    /// <summary>
    /// NOTE: not the console's own stream on Linux. That drops what nobody reads any more and says nothing, so that a
    /// decryption into `head` would run to the end of the volume and end with 0.
    /// </summary>
    public static Stream Open() => OperatingSystem.IsWindows() ? System.Console.OpenStandardOutput() : new HostOutputStream();
}
