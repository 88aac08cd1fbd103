using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using VDiskCrypt.Core;
using VDiskCrypt.Interop.Linux;
using VDiskCrypt.Interop.Linux.Fuse;

namespace VDiskCrypt.Fuse;

/// <summary>
/// fusermount3, the program of libfuse that mounts and unmounts for users: it opens /dev/fuse, mounts, and hands the
/// descriptor back over the socket that the environment variable _FUSE_COMMFD names.
/// </summary>
internal static unsafe class FusermountProcess
{
    private const int TimeoutMs = 30_000;
    private const int MaximumErrorByteCount = 4096;
    private static readonly string[] Names = ["fusermount3", "fusermount"];

    public static FuseDevice Mount(string mountPoint, bool readOnly, FuseOptions options)
    {
        string list = $"{(readOnly ? "ro" : "rw")},nosuid,nodev,default_permissions"
            + (options.NoExecute ? ",noexec" : "")
            + (options.AllowOther ? ",allow_other" : "")
            + $",fsname={Escape(options.SourceName)},subtype={FuseMounts.Subtype}";
        int* pair = stackalloc int[2];
        if (Libc.socketpair(Libc.AF_UNIX, Libc.SOCK_STREAM | Libc.SOCK_CLOEXEC, 0, pair) != 0)
        {
            throw Failed("no socket for fusermount3", mountPoint, Marshal.GetLastPInvokeErrorMessage());
        }

        int fd;
        Outcome outcome;
        try
        {
            outcome = Run(["-o", list, "--", mountPoint], pair, mountPoint, out fd);
        }
        finally
        {
            CloseIfOpen(pair[0]);
            CloseIfOpen(pair[1]);
        }

        if (fd >= 0)
        {
            return new FuseDevice(fd);
        }

        throw outcome.Error.Contains("allow_other", StringComparison.Ordinal)
            ? new VDiskException(
                FailureKind.NotPermitted, outcome.Error, mountPoint, "add the line user_allow_other to /etc/fuse.conf")
            : Failed("fusermount3 did not mount", mountPoint, outcome.Error);
    }

    public static void Unmount(string mountPoint, bool lazy)
    {
        string[] arguments = lazy ? ["-u", "-z", "--", mountPoint] : ["-u", "--", mountPoint];
        Outcome outcome = Run(arguments, null, mountPoint, out _);
        if (outcome.ExitCode == 0 || (outcome.ExitCode is null && outcome.Error.Length == 0))
        {
            return;
        }

        throw outcome.Error.Contains("busy", StringComparison.OrdinalIgnoreCase)
            ? FuseMounts.Busy(mountPoint)
            : Failed("fusermount3 did not unmount", mountPoint, outcome.Error);
    }

    /// <summary>A comma ends an option, a backslash takes the meaning from the next character.</summary>
    private static string Escape(string value) =>
        value.Replace("\\", "\\\\", StringComparison.Ordinal).Replace(",", "\\,", StringComparison.Ordinal);

    /// <param name="arguments">The arguments after the name.</param>
    /// <param name="pair">The socket pair of a mount, or null; this closes the child's end [0].</param>
    /// <param name="mountPoint">For errors.</param>
    /// <param name="receivedFd">The descriptor that came over the socket, or -1.</param>
    private static Outcome Run(string[] arguments, int* pair, string mountPoint, out int receivedFd)
    {
        receivedFd = -1;
        string program = Find() ?? throw new VDiskException(
            FailureKind.Unsupported, "fusermount3 is not installed, which users need to mount", mountPoint,
            "install the package fuse3, or run as root");
        int* errorPipe = stackalloc int[2];
        if (Libc.pipe2(errorPipe, Libc.SOCK_CLOEXEC) != 0)
        {
            throw Failed("no pipe for fusermount3", mountPoint, Marshal.GetLastPInvokeErrorMessage());
        }

        try
        {
            int pid = Spawn(program, arguments, pair is null ? -1 : pair[0], errorPipe[1], mountPoint);
            CloseIfOpen(errorPipe[1]);
            errorPipe[1] = -1;
            if (pair is not null)
            {
                // With our copy of the child's end closed, its death ends the wait for the descriptor.
                CloseIfOpen(pair[0]);
                pair[0] = -1;
                receivedFd = ReceiveDescriptor(pair[1]);
            }

            string error = ReadError(errorPipe[0], pid);
            return new Outcome(Wait(pid), error);
        }
        finally
        {
            CloseIfOpen(errorPipe[0]);
            CloseIfOpen(errorPipe[1]);
        }
    }

    private static int Spawn(string program, string[] arguments, int socket, int errorPipe, string mountPoint)
    {
        byte* actions = stackalloc byte[Libc.SpawnFileActionsByteCount];
        var environment = new List<string> { "LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin" };
        if (socket >= 0)
        {
            environment.Add(string.Create(CultureInfo.InvariantCulture, $"_FUSE_COMMFD={socket}"));
        }

        nint programText = Marshal.StringToCoTaskMemUTF8(program);
        byte** argumentList = ToNative([program, .. arguments]);
        byte** environmentList = ToNative([.. environment]);
        _ = Libc.posix_spawn_file_actions_init(actions);
        try
        {
            _ = Libc.posix_spawn_file_actions_adddup2(actions, errorPipe, 2);
            if (socket >= 0)
            {
                // Onto itself: that is how posix_spawn lets a descriptor survive that is closed on exec.
                _ = Libc.posix_spawn_file_actions_adddup2(actions, socket, socket);
            }

            int pid;
            int errno = Libc.posix_spawn(&pid, (byte*)programText, actions, null, argumentList, environmentList);
            return errno == 0 ? pid : throw Failed($"{program} does not start", mountPoint, Marshal.GetPInvokeErrorMessage(errno));
        }
        finally
        {
            _ = Libc.posix_spawn_file_actions_destroy(actions);
            FreeNative(argumentList);
            FreeNative(environmentList);
            Marshal.FreeCoTaskMem(programText);
        }
    }

    /// <summary>One message with one byte and one descriptor (cmsg(3), SCM_RIGHTS).</summary>
    private static int ReceiveDescriptor(int socket)
    {
        var wait = new Libc.struct_pollfd { fd = socket, events = Libc.POLLIN };
        if (Libc.poll(&wait, 1, TimeoutMs) <= 0)
        {
            return -1;
        }

        byte data;
        byte* control = stackalloc byte[sizeof(Libc.struct_cmsghdr) + 8];
        var vector = new Libc.struct_iovec { iov_base = &data, iov_len = 1 };
        var message = new Libc.struct_msghdr
        {
            msg_iov = &vector,
            msg_iovlen = 1,
            msg_control = control,
            msg_controllen = (nuint)(sizeof(Libc.struct_cmsghdr) + 8),
        };
        nint received;
        do
        {
            received = Libc.recvmsg(socket, &message, Libc.MSG_CMSG_CLOEXEC);
        }
        while (received < 0 && Marshal.GetLastPInvokeError() == FuseErrno.EINTR);

        ref Libc.struct_cmsghdr header = ref *(Libc.struct_cmsghdr*)control;
        bool hasDescriptor = received > 0 && message.msg_controllen >= (nuint)sizeof(Libc.struct_cmsghdr) + sizeof(int)
            && header.cmsg_level == Libc.SOL_SOCKET && header.cmsg_type == Libc.SCM_RIGHTS
            && header.cmsg_len == (nuint)sizeof(Libc.struct_cmsghdr) + sizeof(int);
        return hasDescriptor ? *(int*)(control + sizeof(Libc.struct_cmsghdr)) : -1;
    }

    /// <summary>What the program wrote until it closed the pipe; it is killed when that takes too long.</summary>
    private static string ReadError(int pipe, int pid)
    {
        byte* buffer = stackalloc byte[MaximumErrorByteCount];
        int length = 0;
        while (length < MaximumErrorByteCount)
        {
            var wait = new Libc.struct_pollfd { fd = pipe, events = Libc.POLLIN };
            if (Libc.poll(&wait, 1, TimeoutMs) == 0)
            {
                _ = Libc.kill(pid, Libc.SIGKILL);
                break;
            }

            nint byteCount = Libc.read(pipe, buffer + length, (nuint)(MaximumErrorByteCount - length));
            if (byteCount == 0 || (byteCount < 0 && Marshal.GetLastPInvokeError() != FuseErrno.EINTR))
            {
                break;
            }

            length += (int)Math.Max(0, byteCount);
        }

        return Encoding.UTF8.GetString(buffer, length).Trim().ReplaceLineEndings("; ");
    }

    /// <summary>The exit code, or null where another part of the process (one that ignores SIGCHLD) took it.</summary>
    private static int? Wait(int pid)
    {
        int status;
        int result;
        do
        {
            result = Libc.waitpid(pid, &status, 0);
        }
        while (result < 0 && Marshal.GetLastPInvokeError() == FuseErrno.EINTR);

        return result != pid ? null : (status & 0x7F) == 0 ? (status >> 8) & 0xFF : 128 + (status & 0x7F);
    }

    private static string? Find()
    {
        string[] folders = [.. (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':'), "/usr/bin", "/bin", "/usr/local/bin"];
        return (from name in Names
                from folder in folders
                where folder.StartsWith('/')
                select Path.Combine(folder, name)).FirstOrDefault(File.Exists);
    }

    private static byte** ToNative(string[] texts)
    {
        byte** list = (byte**)NativeMemory.AllocZeroed((nuint)(texts.Length + 1), (nuint)sizeof(byte*));
        for (int i = 0; i < texts.Length; i++)
        {
            list[i] = (byte*)Marshal.StringToCoTaskMemUTF8(texts[i]);
        }

        return list;
    }

    private static void FreeNative(byte** list)
    {
        for (byte** item = list; *item is not null; item++)
        {
            Marshal.FreeCoTaskMem((nint)(*item));
        }

        NativeMemory.Free(list);
    }

    private static void CloseIfOpen(int fd)
    {
        if (fd >= 0)
        {
            _ = Libc.close(fd);
        }
    }

    private static VDiskException Failed(string what, string mountPoint, string reason) =>
        new(FailureKind.NotPermitted, reason.Length == 0 ? what : $"{what}: {reason}", mountPoint,
            "the mount point must belong to this user, and /dev/fuse must be open to all (mode 0666)");

    private readonly record struct Outcome(int? ExitCode, string Error);
}
