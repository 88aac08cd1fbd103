using VDiskCrypt.Testing;
using Xunit;
using static VDiskCrypt.Interop.Linux.Fuse.FuseStructs;
using static VDiskCrypt.Interop.Linux.Libc;

namespace VDiskCrypt.Fuse.Tests;

/// <summary>FUSE over io_uring: what it is made of, and how it ends.</summary>
[Collection("alone")]
public sealed unsafe class RingTests
{
    [Fact]
    public void The_structs_of_io_uring_are_laid_out_as_a_c_compiler_has_it()
    {
        ExternalTool.Require("gcc");
        using var scratch = new ScratchFolder();
        File.WriteAllText(scratch["layout.c"], """
            #include <stddef.h>
            #include <stdio.h>
            #include <linux/io_uring.h>
            #include <sys/syscall.h>
            #define O(s, f) (unsigned long)offsetof(struct s, f)
            int main(void) {
              printf("%zu %lu %lu %lu %lu ", sizeof(struct io_uring_params), O(io_uring_params, flags), O(io_uring_params, features), O(io_uring_params, sq_off), O(io_uring_params, cq_off));
              printf("%zu %lu %lu ", sizeof(struct io_sqring_offsets), O(io_sqring_offsets, tail), O(io_sqring_offsets, array));
              printf("%zu %lu %lu %lu ", sizeof(struct io_cqring_offsets), O(io_cqring_offsets, tail), O(io_cqring_offsets, ring_mask), O(io_cqring_offsets, cqes));
              printf("%zu %lu %lu %lu %lu %lu %lu ", sizeof(struct io_uring_sqe) + 64, O(io_uring_sqe, fd), O(io_uring_sqe, cmd_op), O(io_uring_sqe, addr), O(io_uring_sqe, len), O(io_uring_sqe, user_data), O(io_uring_sqe, addr3));
              printf("%zu %lu ", sizeof(struct io_uring_cqe), O(io_uring_cqe, res));
              printf("%d %d %d %d %d ", IORING_SETUP_CQSIZE, IORING_SETUP_SUBMIT_ALL, IORING_SETUP_COOP_TASKRUN, IORING_SETUP_SQE128, IORING_OP_URING_CMD);
              printf("%d %d %d", __NR_io_uring_setup, __NR_io_uring_enter, (int)IORING_ENTER_GETEVENTS);
            }
            """);
        ExternalTool.Run("gcc", "-o", scratch["layout"], scratch["layout.c"]).Succeeded();
        io_uring_params p;
        io_sqring_offsets sq;
        io_cqring_offsets cq;
        io_uring_sqe128 sqe;
        io_uring_cqe cqe;
        Assert.Equal(
            ExternalTool.Run(scratch["layout"]).Succeeded().Output,
            string.Join(' ', new long[]
            {
                sizeof(io_uring_params), Offset(&p, &p.flags), Offset(&p, &p.features), Offset(&p, &p.sq_off), Offset(&p, &p.cq_off),
                sizeof(io_sqring_offsets), Offset(&sq, &sq.tail), Offset(&sq, &sq.array),
                sizeof(io_cqring_offsets), Offset(&cq, &cq.tail), Offset(&cq, &cq.ring_mask), Offset(&cq, &cq.cqes),
                sizeof(io_uring_sqe128), Offset(&sqe, &sqe.fd), Offset(&sqe, &sqe.cmd_op), Offset(&sqe, &sqe.addr), Offset(&sqe, &sqe.len),
                Offset(&sqe, &sqe.user_data), Offset(&sqe, &sqe.cmd),
                sizeof(io_uring_cqe), Offset(&cqe, &cqe.res),
                IORING_SETUP_CQSIZE, IORING_SETUP_SUBMIT_ALL, IORING_SETUP_COOP_TASKRUN, IORING_SETUP_SQE128, IORING_OP_URING_CMD,
                SYS_io_uring_setup, SYS_io_uring_enter, IORING_ENTER_GETEVENTS,
            }));
    }

    /// <summary>The C side declares the structs as linux/fuse.h of protocol 7.42 does: headers installed here may be older.</summary>
    [Fact]
    public void The_structs_of_the_queues_are_laid_out_as_a_c_compiler_has_it()
    {
        ExternalTool.Require("gcc");
        using var scratch = new ScratchFolder();
        File.WriteAllText(scratch["layout.c"], """
            #include <stddef.h>
            #include <stdint.h>
            #include <stdio.h>
            #include <linux/fuse.h>
            struct ent { uint64_t flags; uint64_t commit_id; uint32_t payload_sz; uint32_t padding; uint64_t reserved; };
            struct header { char in_out[128]; char op_in[128]; struct ent ring_ent_in_out; };
            struct cmd { uint64_t flags; uint64_t commit_id; uint16_t qid; uint8_t padding[6]; };
            #define O(s, f) (unsigned long)offsetof(struct s, f)
            int main(void) {
              printf("%zu %lu %lu ", sizeof(struct ent), O(ent, commit_id), O(ent, payload_sz));
              printf("%zu %lu %lu ", sizeof(struct header), O(header, op_in), O(header, ring_ent_in_out));
              printf("%zu %lu %lu ", sizeof(struct cmd), O(cmd, commit_id), O(cmd, qid));
              printf("%zu %lu %lu ", sizeof(struct fuse_notify_retrieve_out), O(fuse_notify_retrieve_out, nodeid), O(fuse_notify_retrieve_out, size));
              printf("%zu %lu %lu ", sizeof(struct fuse_notify_inval_inode_out), O(fuse_notify_inval_inode_out, off), O(fuse_notify_inval_inode_out, len));
              printf("%d %d", FUSE_NOTIFY_INVAL_INODE, FUSE_NOTIFY_RETRIEVE);
            }
            """);
        ExternalTool.Run("gcc", "-o", scratch["layout"], scratch["layout.c"]).Succeeded();
        fuse_uring_ent_in_out ent;
        fuse_uring_req_header header;
        fuse_uring_cmd_req cmd;
        fuse_notify_retrieve_out retrieve;
        fuse_notify_inval_inode_out invalidate;
        Assert.Equal(
            ExternalTool.Run(scratch["layout"]).Succeeded().Output,
            string.Join(' ', new long[]
            {
                sizeof(fuse_uring_ent_in_out), Offset(&ent, &ent.commit_id), Offset(&ent, &ent.payload_sz),
                sizeof(fuse_uring_req_header), Offset(&header, &header.op_in), Offset(&header, &header.ring_ent_in_out),
                sizeof(fuse_uring_cmd_req), Offset(&cmd, &cmd.commit_id), Offset(&cmd, &cmd.qid),
                sizeof(fuse_notify_retrieve_out), Offset(&retrieve, &retrieve.nodeid), Offset(&retrieve, &retrieve.size),
                sizeof(fuse_notify_inval_inode_out), Offset(&invalidate, &invalidate.off), Offset(&invalidate, &invalidate.len),
                VDiskCrypt.Interop.Linux.Fuse.FuseConstants.FUSE_NOTIFY_INVAL_INODE,
                VDiskCrypt.Interop.Linux.Fuse.FuseConstants.FUSE_NOTIFY_RETRIEVE,
            }));
    }

    [Theory]
    [InlineData("0", 1)]
    [InlineData("0-1\n", 2)]
    [InlineData("0-3,8,10-11", 7)]
    [InlineData("", 0)]
    [InlineData("3-1", 0)]
    [InlineData("0-99999999", 0)]
    [InlineData("-", 0)]
    public void Processor_lists_are_counted(string list, int count) => Assert.Equal(count, Processors.Count(list));

    [Theory]
    [InlineData(FuseTransport.Device)]
    [InlineData(FuseTransport.IoUring)]
    public void An_aborted_connection_ends_the_session_and_all_its_threads(FuseTransport transport)
    {
        using var folder = new ScratchFolder();
        using var fileSystem = new MemoryFileSystem();
        FuseSession session = KernelRings.Mount(fileSystem, folder.FullPath, transport);
        ExternalTool.Bash("cd \"$1\"; seq 1000 > f; cat f >/dev/null", folder.FullPath).Succeeded();
        string connection = session.DeviceNumber.Split(':')[1];
        ExternalTool.Bash("mountpoint -q /sys/fs/fuse/connections || mount -t fusectl none /sys/fs/fuse/connections; echo 1 > /sys/fs/fuse/connections/$1/abort", connection).Succeeded();
        SessionAssert.Ends(session);
        Assert.Equal(0, session.GetStatistics().WorkerCount);
        ExternalTool.Bash("umount \"$1\"", folder.FullPath).Succeeded();
    }

    [Fact]
    public void Twenty_mounts_leave_no_descriptor_and_no_thread_behind()
    {
        MountAndUnmount();
        int descriptors = Directory.GetFiles("/proc/self/fd").Length;
        for (int i = 0; i < 20; i++)
        {
            MountAndUnmount();
        }

        Assert.InRange(Directory.GetFiles("/proc/self/fd").Length, 0, descriptors + 5);
        Assert.True(SpinWait.SpinUntil(() => NamedThreadCount() == 0, 5_000), $"{NamedThreadCount()} threads are left");
    }

    [Fact]
    public void Where_io_uring_is_not_wanted_the_device_serves_although_the_kernel_offers_it()
    {
        HostProcess.Require(Mounter.RootRing);
        using var folder = new ScratchFolder();
        using var fileSystem = new MemoryFileSystem();
        FuseSession session = KernelRings.With(
            () => FuseSession.Mount(fileSystem, folder.FullPath, new FuseOptions { UseIoUring = false }));
        Assert.Equal(FuseTransport.Device, session.Transport);
        session.Unmount();
        SessionAssert.Ends(session);
    }

    [Fact]
    public void Where_the_system_forbids_io_uring_the_device_serves()
    {
        HostProcess.Require(Mounter.RootRing);
        using var folder = new ScratchFolder();
        using var fileSystem = new MemoryFileSystem();
        const string Forbidden = "/proc/sys/kernel/io_uring_disabled";
        Assert.SkipUnless(File.Exists(Forbidden), "this kernel cannot forbid io_uring");
        FuseSession session = KernelRings.With(() =>
        {
            File.WriteAllText(Forbidden, "2");
            try
            {
                return FuseSession.Mount(fileSystem, folder.FullPath, new FuseOptions());
            }
            finally
            {
                File.WriteAllText(Forbidden, "0");
            }
        });
        Assert.Equal(FuseTransport.Device, session.Transport);
        ExternalTool.Bash("echo x > \"$1\"/f; [ \"$(cat \"$1\"/f)\" = x ]", folder.FullPath).Succeeded();
        session.Unmount();
        SessionAssert.Ends(session);
    }

    private static void MountAndUnmount()
    {
        using var folder = new ScratchFolder();
        using var fileSystem = new MemoryFileSystem();
        FuseSession session = KernelRings.Mount(fileSystem, folder.FullPath, FuseTransport.IoUring);
        session.Unmount();
        SessionAssert.Ends(session);
    }

    /// <summary>Threads of queues; only this class and tests in other processes make any while it runs alone.</summary>
    private static int NamedThreadCount() => Directory.GetDirectories("/proc/self/task")
        .Select(task => Path.Combine(task, "comm"))
        .Count(file => File.Exists(file) && File.ReadAllText(file).StartsWith("fuse-cpu", StringComparison.Ordinal));

    private static long Offset(void* start, void* field) => (byte*)field - (byte*)start;
}
