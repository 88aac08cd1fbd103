using System.Runtime.InteropServices;

namespace VDiskCrypt.Interop.Linux;

/// <summary>Child processes and what is passed to them: posix_spawn(3), pipes, socket pairs, descriptor passing.</summary>
public static unsafe partial class Libc
{
    public const int AF_UNIX = 1;
    public const int SOCK_STREAM = 1;
    public const int SOCK_CLOEXEC = 0x80000;
    public const int SOL_SOCKET = 1;
    public const int SCM_RIGHTS = 1;
    public const int MSG_CMSG_CLOEXEC = 0x40000000;
    public const int SIGKILL = 9;

    /// <summary>posix_spawn_file_actions_t is opaque: 80 bytes with glibc and musl alike, given room to grow.</summary>
    public const int SpawnFileActionsByteCount = 256;

    [LibraryImport(Library)]
    public static partial int posix_spawn(
        int* pid, byte* path, byte* fileActions, void* attributes, byte** arguments, byte** environment);

    [LibraryImport(Library)]
    public static partial int posix_spawn_file_actions_init(byte* fileActions);

    [LibraryImport(Library)]
    public static partial int posix_spawn_file_actions_adddup2(byte* fileActions, int fd, int newFd);

    [LibraryImport(Library)]
    public static partial int posix_spawn_file_actions_destroy(byte* fileActions);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int waitpid(int pid, int* status, int options);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int kill(int pid, int signal);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int pipe2(int* descriptors, int flags);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int socketpair(int domain, int type, int protocol, int* descriptors);

    [LibraryImport(Library, SetLastError = true)]
    public static partial nint recvmsg(int fd, struct_msghdr* message, int flags);

    /// <summary>struct iovec.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct struct_iovec
    {
        public byte* iov_base;
        public nuint iov_len;
    }

    /// <summary>struct msghdr of a 64-bit machine.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct struct_msghdr
    {
        public void* msg_name;
        public uint msg_namelen;
        public struct_iovec* msg_iov;
        public nuint msg_iovlen;
        public void* msg_control;
        public nuint msg_controllen;
        public int msg_flags;
    }

    /// <summary>struct cmsghdr of a 64-bit machine; the data follow it at once.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct struct_cmsghdr
    {
        public nuint cmsg_len;
        public int cmsg_level;
        public int cmsg_type;
    }
}
