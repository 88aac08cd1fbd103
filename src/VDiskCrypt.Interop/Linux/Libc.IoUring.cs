using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace VDiskCrypt.Interop.Linux;

/// <summary>io_uring(7) by its system calls (the C library wraps none of them), and the processors a thread runs on.</summary>
public static unsafe partial class Libc
{
    /// <summary>The numbers are the same on every architecture.</summary>
    public const long SYS_io_uring_setup = 425;
    public const long SYS_io_uring_enter = 426;

    public const uint IORING_SETUP_CQSIZE = 1 << 3;
    public const uint IORING_SETUP_SUBMIT_ALL = 1 << 7;
    public const uint IORING_SETUP_COOP_TASKRUN = 1 << 8;
    public const uint IORING_SETUP_SQE128 = 1 << 10;
    public const uint IORING_FEAT_SINGLE_MMAP = 1;
    public const uint IORING_ENTER_GETEVENTS = 1;
    public const byte IORING_OP_URING_CMD = 46;
    public const long IORING_OFF_SQ_RING = 0;
    public const long IORING_OFF_SQES = 0x10000000;

    public const int MAP_POPULATE = 0x8000;

    /// <summary>Room for 8192 processors, the most that Linux knows.</summary>
    public const int CpuSetByteCount = 1024;

    [LibraryImport(Library, EntryPoint = "syscall", SetLastError = true)]
    public static partial long syscall_setup(long number, uint entries, io_uring_params* parameters);

    [LibraryImport(Library, EntryPoint = "syscall", SetLastError = true)]
    public static partial long syscall_enter(
        long number, int fd, uint submitCount, uint minimumCompletions, uint flags, void* signals, nuint signalsByteCount);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int sched_setaffinity(int pid, nuint byteCount, byte* mask);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int sched_getaffinity(int pid, nuint byteCount, byte* mask);

    [StructLayout(LayoutKind.Sequential)]
    public struct io_sqring_offsets
    {
        public uint head;
        public uint tail;
        public uint ring_mask;
        public uint ring_entries;
        public uint flags;
        public uint dropped;
        public uint array;
        public uint resv1;
        public ulong user_addr;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct io_cqring_offsets
    {
        public uint head;
        public uint tail;
        public uint ring_mask;
        public uint ring_entries;
        public uint overflow;
        public uint cqes;
        public uint flags;
        public uint resv1;
        public ulong user_addr;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct io_uring_params
    {
        public uint sq_entries;
        public uint cq_entries;
        public uint flags;
        public uint sq_thread_cpu;
        public uint sq_thread_idle;
        public uint features;
        public uint wq_fd;
        public reserved_3 resv;
        public io_sqring_offsets sq_off;
        public io_cqring_offsets cq_off;
    }

    /// <summary>struct io_uring_sqe with the 80 bytes of command that IORING_SETUP_SQE128 gives it.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 128)]
    public struct io_uring_sqe128
    {
        [FieldOffset(0)] public byte opcode;
        [FieldOffset(1)] public byte flags;
        [FieldOffset(4)] public int fd;
        [FieldOffset(8)] public uint cmd_op;
        [FieldOffset(16)] public ulong addr;
        [FieldOffset(24)] public uint len;
        [FieldOffset(32)] public ulong user_data;
        [FieldOffset(48)] public byte cmd;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct io_uring_cqe
    {
        public ulong user_data;
        public int res;
        public uint flags;
    }

    [InlineArray(3)]
    public struct reserved_3
    {
        private uint _element;
    }
}
