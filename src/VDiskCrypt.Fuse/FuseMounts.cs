using System.Runtime.InteropServices;
using VDiskCrypt.Core;
using VDiskCrypt.Interop.Linux;
using VDiskCrypt.Interop.Linux.Fuse;

namespace VDiskCrypt.Fuse;

/// <summary>The mounts of this program on this machine, whichever process serves them.</summary>
public static class FuseMounts
{
    internal const string Subtype = "vdiskcrypt";
    internal const string FileSystemType = "fuse." + Subtype;

    /// <summary>How long a live mount may take to answer before it counts as alive but hanging.</summary>
    private const int AnswerTimeoutMs = 5_000;

    public static IReadOnlyList<FuseMount> List() =>
        [.. MountTable.Read().Where(IsOurs).Select(entry => new FuseMount(entry.MountPoint, entry.Source))];

    /// <summary>Checks that a path can be mounted on; what a dead server left mounted there is taken off.</summary>
    /// <returns>The absolute path without symbolic links.</returns>
    /// <exception cref="VDiskException">NotFound, Usage (no directory, or not empty), InUse (something live is mounted there).</exception>
    public static string PrepareMountPoint(string path) => MountPoint.Prepare(path, allowEntries: false);

    /// <summary>Takes a mount off. Data that the kernel still holds are written first.</summary>
    /// <param name="mountPoint">Where it is.</param>
    /// <param name="lazy">Take it out of sight at once, and end it when the last open file is closed.</param>
    /// <exception cref="VDiskException">InUse while files are open and <paramref name="lazy"/> is false.</exception>
    public static void Unmount(string mountPoint, bool lazy = false)
    {
        string path = MountPoint.Resolve(mountPoint);
        MountTableEntry? entry = MountTable.Find(path);
        if (entry is null || !IsOurs(entry))
        {
            throw new VDiskException(
                FailureKind.NotFound, "no volume is mounted there", path, "vdiskcrypt status lists what is mounted");
        }

        Detach(path, lazy);
    }

    /// <summary>Whether the process that served the mount on this (resolved) path is gone.</summary>
    internal static bool IsStale(string mountPoint)
    {
        // statfs is never answered from a cache: a dead connection shows at once. A live one may hang, which is not stale.
        Task<int> answer = Task.Run(() => QueryErrno(mountPoint));
        return answer.Wait(AnswerTimeoutMs) && answer.Result is FuseErrno.ENOTCONN or FuseErrno.ECONNABORTED;
    }

    internal static bool IsOurs(MountTableEntry entry) => entry.FileSystemType == FileSystemType;

    /// <summary>umount2(2) where this process may, else fusermount3.</summary>
    internal static void Detach(string mountPoint, bool lazy)
    {
        int flags = Libc.UMOUNT_NOFOLLOW | (lazy ? Libc.MNT_DETACH : 0);
        if (Libc.umount2(mountPoint, flags) == 0)
        {
            return;
        }

        int errno = Marshal.GetLastPInvokeError();
        switch (errno)
        {
            case FuseErrno.EPERM:
                FusermountProcess.Unmount(mountPoint, lazy);
                return;
            case FuseErrno.EBUSY:
                throw Busy(mountPoint);
            default:
                throw new VDiskException(
                    FailureKind.InputOutput, $"umount failed: {Marshal.GetPInvokeErrorMessage(errno)}", mountPoint);
        }
    }

    internal static VDiskException Busy(string mountPoint) => new(
        FailureKind.InUse, "files on the mount are open, or a program's working directory is there", mountPoint,
        $"close them (fuser -vm {mountPoint} lists who), or unmount with --lazy");

    private static unsafe int QueryErrno(string mountPoint)
    {
        byte* buffer = stackalloc byte[Libc.StatfsByteCount];
        return Libc.statfs(mountPoint, buffer) == 0 ? 0 : Marshal.GetLastPInvokeError();
    }
}
