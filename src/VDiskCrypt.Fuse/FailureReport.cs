using VDiskCrypt.Core;
using VDiskCrypt.Interop.Linux.Fuse;

namespace VDiskCrypt.Fuse;

/// <summary>
/// Writes a line for a failure that applications see only as an errno, once for each kind and inode, so that a
/// damaged file that is read again and again does not fill a log.
/// </summary>
internal sealed class FailureReport(Action<string>? log)
{
    /// <summary>How many different failures are told apart; later ones are not reported.</summary>
    private const int MaximumReportCount = 1024;

    private readonly HashSet<(FailureKind Kind, ulong Inode)> _reported = [];

    public void Add(Exception exception, fuse_opcode opcode, ulong inode)
    {
        if (log is null)
        {
            return;
        }

        FailureKind kind = (exception as VDiskException)?.Kind ?? FailureKind.Internal;
        lock (_reported)
        {
            if (_reported.Count >= MaximumReportCount || !_reported.Add((kind, inode)))
            {
                return;
            }
        }

        string place = (exception as VDiskException)?.Where is string where ? $" ({where})" : "";
        try
        {
            log($"{opcode} of inode {inode} failed: {kind}: {exception.Message}{place}");
        }
        catch (Exception)
        {
            // A log that cannot be written must not take the mount with it: the errno still reaches the application.
        }
    }
}
