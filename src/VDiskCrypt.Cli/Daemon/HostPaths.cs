using System.Text;
using VDiskCrypt.Core;

namespace VDiskCrypt.Cli;

/// <summary>Where the command keeps what outlives one run: keys, known volumes, logs, and what is running now.</summary>
internal static class HostPaths
{
    public const string SocketExtension = ".sock";

    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    /// <summary>State files and control sockets of live mounts; gone after a restart. VDISKCRYPT_RUNTIME_DIR overrides it.</summary>
    public static string RuntimeFolder => Private(Named("VDISKCRYPT_RUNTIME_DIR") ?? DefaultRuntimeFolder());

    /// <summary>Platform keys, known volumes and logs. VDISKCRYPT_DATA_DIR overrides it.</summary>
    public static string DataFolder => Private(Named("VDISKCRYPT_DATA_DIR") ?? DefaultDataFolder());

    public static string KeyFolder => Path.Combine(DataFolder, "keys");

    public static string KnownVolumesFolder => Path.Combine(DataFolder, "volumes");

    public static string HeaderBackupFolder => Private(Path.Combine(DataFolder, "headers"));

    public static string LogFolder => Private(Path.Combine(DataFolder, "logs"));

    /// <summary>Longest path of a Unix socket, its ending zero left out: sun_path of sockaddr_un (unix(7)).</summary>
    private const int MaximumSocketPathByteCount = 107;

    /// <exception cref="VDiskException">Usage where the path is too long for a socket.</exception>
    public static string ControlSocket(MountRequest request)
    {
        string path = Path.Combine(request.RuntimeFolder, request.Id + SocketExtension);
        return Encoding.UTF8.GetByteCount(path) <= MaximumSocketPathByteCount ? path : throw new VDiskException(
            FailureKind.Usage, "the path is too long for a control socket", path, "name a shorter folder by VDISKCRYPT_RUNTIME_DIR");
    }

    /// <summary>Absolute: the daemon works in another folder.</summary>
    private static string? Named(string variable) =>
        Environment.GetEnvironmentVariable(variable) is { Length: > 0 } folder ? Path.GetFullPath(folder) : null;

    private static bool IsRoot => !OperatingSystem.IsWindows() && HostStatus.CurrentUserId == 0;

    private static string DefaultRuntimeFolder()
    {
        if (OperatingSystem.IsWindows())
        {
            return Path.Combine(Path.GetTempPath(), "vdiskcrypt");
        }

        if (IsRoot)
        {
            return "/run/vdiskcrypt";
        }

        string? session = Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR");
        return session is not null && HostStatus.Of(session)?.UserId == HostStatus.CurrentUserId
            ? Path.Combine(session, "vdiskcrypt")
            : $"/tmp/vdiskcrypt-{HostStatus.CurrentUserId}";
    }

    private static string DefaultDataFolder()
    {
        if (IsRoot)
        {
            return "/var/lib/vdiskcrypt";
        }

        return Path.Combine(
            Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData, Environment.SpecialFolderOption.DoNotVerify),
            "vdiskcrypt");
    }

    /// <summary>Makes the folder for its owner alone, and refuses one that somebody else laid there (in /tmp anybody can).</summary>
    private static string Private(string folder)
    {
        if (OperatingSystem.IsWindows())
        {
            Directory.CreateDirectory(folder);
            return folder;
        }

        try
        {
            bool isNew = !Directory.Exists(folder);
            Directory.CreateDirectory(folder, OwnerOnly);
            if (isNew)
            {
                // Keys lie below: their folder's name must be as durable as they are.
                HostFile.FsyncDirectory(folder);
            }
        }
        catch (Exception error) when (error is UnauthorizedAccessException or IOException)
        {
            throw new VDiskException(FailureKind.NotPermitted, "the folder cannot be made", folder,
                "make it for this user, or name another by VDISKCRYPT_DATA_DIR and VDISKCRYPT_RUNTIME_DIR", error);
        }

        HostStatus status = HostStatus.Of(folder, followLinks: false)!.Value;
        const uint OthersMayWrite = 0x12;
        if (status.UserId != HostStatus.CurrentUserId || (status.Mode & OthersMayWrite) != 0)
        {
            throw new VDiskException(FailureKind.NotPermitted, "the folder belongs to another user, or others may write to it", folder,
                "remove it, or name another by VDISKCRYPT_DATA_DIR and VDISKCRYPT_RUNTIME_DIR");
        }

        return folder;
    }
}
