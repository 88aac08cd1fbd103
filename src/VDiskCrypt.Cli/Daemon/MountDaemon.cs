using System.Diagnostics;
using System.Runtime.InteropServices;
using VDiskCrypt.Core;
using VDiskCrypt.Fuse;
using VDiskCrypt.Volumes;

namespace VDiskCrypt.Cli;

/// <summary>
/// Serves one mount until it ends: by `unmount`, by fusermount3 -u, or by SIGTERM or SIGINT. Then it closes from the top
/// down, so that everything is durable, and tells whoever waits on the control socket.
/// </summary>
internal static class MountDaemon
{
    /// <summary>After a signal, how long open files may keep the mount before the process goes anyway.</summary>
    private const int OpenFilesGraceMs = 20_000;

    /// <param name="request">What to mount.</param>
    /// <param name="volumeKey">Verified here once more, with the header's authentication.</param>
    /// <param name="ready">Called once with the notices, when the mount is usable.</param>
    /// <returns>The exit code.</returns>
    public static int Run(MountRequest request, SecretMemory volumeKey, Action<string[]> ready)
    {
        Volume volume = Open(request, volumeKey, out List<string> notices);
        ControlSocket? control = null;
        string? failure = null;
        try
        {
            try
            {
                IFileSystem files = volume.OpenFileSystem(new FileSystemOptions { ReadOnly = request.ReadOnly, Discard = request.Discard });
                notices.AddRange(volume.Notices);
                FuseSession session = FuseSession.Mount(files, request.MountPoint, new FuseOptions
                {
                    ReadOnly = request.ReadOnly,
                    AllowOther = request.AllowOther,
                    WritebackCache = !request.StrictOrder,
                    SourceName = request.Image,
                    FailureLog = DaemonLog.Write,
                });
                try
                {
                    DateTimeOffset since = DateTimeOffset.UtcNow;
                    control = new ControlSocket(HostPaths.ControlSocket(request), () => State(request, volume, session, since));
                    DaemonLog.Write($"mounted {request.Image} at {request.MountPoint}, volume {volume.Uuid}, {session.Transport}");
                    ready([.. notices]);
                }
                catch
                {
                    // Whoever asked for the mount is gone or will be told that it failed: nothing may stay mounted.
                    session.Unmount(lazy: true);
                    session.Completion.Wait(OpenFilesGraceMs);
                    throw;
                }

                ServeUntilEnd(session);
            }
            finally
            {
                volume.Dispose();
            }
        }
        catch (Exception error) when (control is not null)
        {
            failure = error.Message;
            DaemonLog.Write($"not everything could be written: {error}");
        }

        DaemonLog.Write("ended");
        control?.End(new MountEnd { Failure = failure });
        return failure is null ? ExitCode.Done : ExitCode.InputOutput;
    }

    private static Volume Open(MountRequest request, SecretMemory volumeKey, out List<string> notices)
    {
        var reference = new ImageReference(request.Image, request.Partition);
        VolumeContainer container = VolumeContainer.Open(
            reference, request.ReadOnly ? VolumeAccess.ReadOnly : VolumeAccess.ReadWrite, request.KnownVolumesFolder);
        try
        {
            container.Authenticate(volumeKey);

            // The process that unlocked has said already what there was to say of the container.
            notices = [];
            return Volume.Open(container, volumeKey);
        }
        catch
        {
            container.Dispose();
            throw;
        }
    }

    private static MountState State(MountRequest request, Volume volume, FuseSession session, DateTimeOffset since)
    {
        FuseStatistics statistics = session.GetStatistics();
        return new MountState
        {
            Request = request,
            ProcessId = Environment.ProcessId,
            Since = since,
            VolumeUuid = volume.Uuid,
            Transport = session.Transport == FuseTransport.IoUring ? "io_uring" : "dev-fuse",
            RequestCount = statistics.OperationCount,
            ReadRequestCount = statistics.ReadCount,
            ReadByteCount = statistics.ReadByteCount,
            WriteRequestCount = statistics.WriteCount,
            WrittenByteCount = statistics.WrittenByteCount,
        };
    }

    private static void ServeUntilEnd(FuseSession session)
    {
        using var stop = new ManualResetEventSlim();
        void Stop(PosixSignalContext context)
        {
            context.Cancel = true;
            stop.Set();
        }

        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        using PosixSignalRegistration hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, context => context.Cancel = true);
        WaitHandle ended = ((IAsyncResult)session.Completion).AsyncWaitHandle;
        if (WaitHandle.WaitAny([ended, stop.WaitHandle]) == 0)
        {
            return;
        }

        DaemonLog.Write("asked to end");
        try
        {
            session.Unmount();
        }
        catch (VDiskException busy) when (busy.Kind == FailureKind.InUse)
        {
            DaemonLog.Write($"files are open; detached, and waiting {OpenFilesGraceMs / 1000} s for them");
            WriteOut(session.MountPoint);
            session.Unmount(lazy: true);
            if (!session.Completion.Wait(OpenFilesGraceMs))
            {
                throw new VDiskException(FailureKind.InUse, "ended by a signal while files were open", session.MountPoint);
            }
        }

        session.Completion.Wait();
    }

    /// <summary>What the kernel still holds of open files is written first, by another process: the daemon never touches its own mount.</summary>
    private static void WriteOut(string mountPoint)
    {
        using Process sync = Process.Start("sync", ["-f", mountPoint]);
        sync.WaitForExit(OpenFilesGraceMs);
    }
}
