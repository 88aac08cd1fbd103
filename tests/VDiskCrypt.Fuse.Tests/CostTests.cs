using System.Globalization;
using VDiskCrypt.Interop.Linux.Fuse;
using VDiskCrypt.Testing;
using Xunit;
using static VDiskCrypt.Interop.Linux.Fuse.FuseStructs;

namespace VDiskCrypt.Fuse.Tests;

/// <summary>What a request costs, in numbers that do not depend on the machine: allocated bytes and system calls.</summary>
[Collection("alone")]
public sealed unsafe class CostTests
{
    private const int BufferByteCount = 1 << 16;
    private const int RequestCount = 10_000;

    public static TheoryData<fuse_opcode> Opcodes =>
    [
        fuse_opcode.FUSE_LOOKUP, fuse_opcode.FUSE_FORGET, fuse_opcode.FUSE_GETATTR, fuse_opcode.FUSE_STATX, fuse_opcode.FUSE_SETATTR,
        fuse_opcode.FUSE_READ, fuse_opcode.FUSE_WRITE, fuse_opcode.FUSE_MKNOD, fuse_opcode.FUSE_MKDIR, fuse_opcode.FUSE_UNLINK,
        fuse_opcode.FUSE_RENAME2, fuse_opcode.FUSE_LINK, fuse_opcode.FUSE_READDIR, fuse_opcode.FUSE_READDIRPLUS, fuse_opcode.FUSE_FSYNC,
        fuse_opcode.FUSE_STATFS, fuse_opcode.FUSE_GETXATTR, fuse_opcode.FUSE_LISTXATTR, fuse_opcode.FUSE_SETXATTR, fuse_opcode.FUSE_READLINK,
        fuse_opcode.FUSE_SYMLINK, fuse_opcode.FUSE_FALLOCATE, fuse_opcode.FUSE_OPEN,
    ];

    [Theory]
    [MemberData(nameof(Opcodes))]
    public void No_request_allocates(fuse_opcode opcode)
    {
        using var fileSystem = new FixedFileSystem();
        var operations = new FuseOperations(fileSystem, new FailureReport(null), FuseInitFlags.FUSE_SETXATTR_EXT, _ => { });
        using var region = new NativeRegion(3 * BufferByteCount);
        byte* argument = region.Start;
        byte* payload = argument + BufferByteCount;
        var request = new FuseRequest(payload + BufferByteCount, BufferByteCount);
        var counters = new RequestCounters();
        int errno = Serve(1_000);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Serve(RequestCount);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal(opcode == fuse_opcode.FUSE_OPEN ? FuseErrno.ENOSYS : 0, errno);

        int Serve(int count)
        {
            for (int i = 0; i < count; i++)
            {
                int payloadByteCount = Fill(opcode, argument, payload);
                request.Header = new fuse_in_header { opcode = opcode, nodeid = 12, unique = 2 };
                request.Begin(argument, payload, payloadByteCount);
                operations.Handle(request, counters);
            }

            return request.Error;
        }
    }

    [Theory]
    [InlineData(Mounter.Root, 2)]
    [InlineData(Mounter.RootRing, 1)]
    public void A_request_takes_no_more_system_calls_than_it_must(Mounter mounter, int limit)
    {
        ExternalTool.Require("strace");
        using HostProcess host = HostProcess.Start(mounter, "stats");
        host.Bash("echo x > $M/f").Succeeded();
        using var folder = new ScratchFolder();
        host.Bash("""
            strace -f -qq -e trace=all -o "$1" -p $2 & S=$!
            for i in $(seq 100); do [ -s "$1" ] && break; stat $M/f$i >/dev/null 2>&1 || true; sleep 0.05; done
            seq -f "$M/none-%g" 1 2000 | xargs stat >/dev/null 2>&1 || true
            kill -INT $S; wait $S || true
            """, folder["calls"], host.ProcessId.ToString(CultureInfo.InvariantCulture)).Succeeded();
        string[] calls = [.. File.ReadLines(folder["calls"]).Where(line => !line.Contains("resumed>", StringComparison.Ordinal))];
        int count = calls.Count(line => line.Contains("read(", StringComparison.Ordinal)
            || line.Contains("write(", StringComparison.Ordinal)
            || line.Contains("writev(", StringComparison.Ordinal)
            || line.Contains("io_uring_enter(", StringComparison.Ordinal));
        Assert.InRange(count, 1_900 * limit, 2_150 * limit);
        Assert.InRange(calls.Length, 1_900 * limit, 2_400 * limit);
    }

    [Theory]
    [InlineData("0.20 0.18 0.12 3/80 11206\n", 3)]
    [InlineData("0.20 0.18 0.12 17/80", 17)]
    [InlineData("0.20 0.18", 0)]
    [InlineData("a b c d", 0)]
    [InlineData("", 0)]
    public void Running_tasks_are_read_from_the_load(string line, int count) =>
        Assert.Equal(count, RunningTasks.ParseRunning(System.Text.Encoding.ASCII.GetBytes(line)));

    [Theory]
    [InlineData("12 (fuse-0) R 1 2", 'R')]
    [InlineData("12 (a ) b) D 1 2", 'D')]
    [InlineData("12 (", '\0')]
    [InlineData("12 (x)", '\0')]
    public void The_state_of_a_thread_is_read(string line, char state) =>
        Assert.Equal(state, ThreadState.ParseState(System.Text.Encoding.ASCII.GetBytes(line)));

    /// <summary>A well-formed request; the bytes of its payload.</summary>
    private static int Fill(fuse_opcode opcode, byte* argument, byte* payload)
    {
        new Span<byte>(argument, 128).Clear();
        ReadOnlySpan<byte> text = "name\0other\0"u8;
        text.CopyTo(new Span<byte>(payload, text.Length));
        switch (opcode)
        {
            case fuse_opcode.FUSE_READ or fuse_opcode.FUSE_READDIR or fuse_opcode.FUSE_READDIRPLUS:
                ((fuse_read_in*)argument)->size = 4096;
                return 0;
            case fuse_opcode.FUSE_WRITE:
                ((fuse_write_in*)argument)->size = 4096;
                ((fuse_write_in*)argument)->write_flags = FuseConstants.FUSE_WRITE_KILL_SUIDGID;
                return 4096;
            case fuse_opcode.FUSE_MKNOD:
                ((fuse_mknod_in*)argument)->mode = 0x81A4;
                return text.Length;
            case fuse_opcode.FUSE_GETXATTR or fuse_opcode.FUSE_LISTXATTR:
                ((fuse_getxattr_in*)argument)->size = 256;
                return text.Length;
            case fuse_opcode.FUSE_SETXATTR:
                ((fuse_setxattr_in*)argument)->size = 4;
                return text.Length;
            case fuse_opcode.FUSE_FORGET:
                ((fuse_forget_in*)argument)->nlookup = 1;
                return 0;
            default:
                return text.Length;
        }
    }
}
