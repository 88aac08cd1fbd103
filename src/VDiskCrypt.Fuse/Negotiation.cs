using System.Globalization;
using System.Runtime.InteropServices;
using VDiskCrypt.Core;
using VDiskCrypt.Interop.Linux;
using VDiskCrypt.Interop.Linux.Fuse;
using static VDiskCrypt.Interop.Linux.Fuse.FuseStructs;

namespace VDiskCrypt.Fuse;

/// <summary>
/// The INIT exchange, which comes first on every connection: what kernel and server agree on. Protocol 7.31 (Linux
/// 5.4) is the oldest that is served; newer kernels than 7.45 speak 7.45.
/// </summary>
internal sealed unsafe class Negotiation
{
    private const uint OldestMinor = 31;
    private const string MaximumPagesFile = "/proc/sys/fs/fuse/max_pages_limit";

    /// <summary>Pages per request where the kernel has no such file: FUSE_MAX_MAX_PAGES before Linux 6.13.</summary>
    private const int DefaultMaximumPages = 256;

    /// <summary>Requests of read-ahead, writeback and asynchronous direct I/O that may be under way at once.</summary>
    private const int MaximumBackground = 64;

    /// <summary>From here on the kernel calls the device congested and slows read-ahead.</summary>
    private const int CongestionThreshold = 48;

    private const FuseInitFlags Wanted =
        FuseInitFlags.FUSE_ASYNC_READ | FuseInitFlags.FUSE_BIG_WRITES | FuseInitFlags.FUSE_DONT_MASK
        | FuseInitFlags.FUSE_DO_READDIRPLUS | FuseInitFlags.FUSE_READDIRPLUS_AUTO | FuseInitFlags.FUSE_ASYNC_DIO
        | FuseInitFlags.FUSE_PARALLEL_DIROPS | FuseInitFlags.FUSE_POSIX_ACL | FuseInitFlags.FUSE_ABORT_ERROR
        | FuseInitFlags.FUSE_MAX_PAGES | FuseInitFlags.FUSE_CACHE_SYMLINKS | FuseInitFlags.FUSE_EXPLICIT_INVAL_DATA
        | FuseInitFlags.FUSE_HANDLE_KILLPRIV_V2 | FuseInitFlags.FUSE_SETXATTR_EXT | FuseInitFlags.FUSE_INIT_EXT
        | FuseInitFlags.FUSE_DIRECT_IO_ALLOW_MMAP | FuseInitFlags.FUSE_NO_EXPORT_SUPPORT;

    private const FuseInitFlags Required =
        FuseInitFlags.FUSE_MAX_PAGES | FuseInitFlags.FUSE_NO_OPEN_SUPPORT | FuseInitFlags.FUSE_NO_OPENDIR_SUPPORT;

    private Negotiation(FuseInitFlags agreed, uint minor, int maximumRequestByteCount)
    {
        Agreed = agreed;
        Minor = minor;
        MaximumRequestByteCount = maximumRequestByteCount;
    }

    public FuseInitFlags Agreed { get; }

    /// <summary>The protocol's minor version, 7.x.</summary>
    public uint Minor { get; }

    /// <summary>The largest READ and WRITE, a multiple of the page size.</summary>
    public int MaximumRequestByteCount { get; }

    /// <summary>Waits for the kernel's INIT and answers it; afterwards requests come.</summary>
    /// <param name="device">The connection.</param>
    /// <param name="readOnly">Nothing is written, so nothing is collected in the kernel's cache either.</param>
    /// <param name="options">What the user wants.</param>
    /// <param name="useIoUring">Agree to io_uring if the kernel offers it.</param>
    public static Negotiation Run(FuseDevice device, bool readOnly, FuseOptions options, bool useIoUring)
    {
        using var region = new NativeRegion(FuseConstants.FUSE_MIN_READ_BUFFER);
        byte* buffer = region.Start;
        while (true)
        {
            nint byteCount = Libc.read(device.Descriptor, buffer, FuseConstants.FUSE_MIN_READ_BUFFER);
            if (byteCount < 0)
            {
                int errno = Marshal.GetLastPInvokeError();
                if (errno is FuseErrno.EINTR or FuseErrno.EAGAIN)
                {
                    continue;
                }

                throw Refused($"the connection ended before INIT: {Marshal.GetPInvokeErrorMessage(errno)}");
            }

            fuse_in_header header = *(fuse_in_header*)buffer;
            int argumentByteCount = (int)byteCount - sizeof(fuse_in_header);
            if (argumentByteCount < 16 || header.opcode != fuse_opcode.FUSE_INIT)
            {
                throw Refused($"the first request is {header.opcode} of {byteCount} bytes, not INIT");
            }

            fuse_init_in init = default;
            Buffer.MemoryCopy(
                buffer + sizeof(fuse_in_header), &init, sizeof(fuse_init_in), Math.Min(argumentByteCount, sizeof(fuse_init_in)));
            if (init.major < FuseConstants.FUSE_KERNEL_VERSION
                || (init.major == FuseConstants.FUSE_KERNEL_VERSION && init.minor < OldestMinor))
            {
                throw Refused($"the kernel speaks FUSE {init.major}.{init.minor}, older than 7.{OldestMinor} (Linux 5.4)");
            }

            fuse_init_out reply = default;
            reply.major = FuseConstants.FUSE_KERNEL_VERSION;
            reply.minor = FuseConstants.FUSE_KERNEL_MINOR_VERSION;
            if (init.major > FuseConstants.FUSE_KERNEL_VERSION)
            {
                // The protocol's own rule: answer with our major version and expect a second INIT with it.
                Answer(device, header.unique, reply);
                continue;
            }

            Negotiation result = Agree(init, readOnly, options, useIoUring, ref reply);
            Answer(device, header.unique, reply);
            return result;
        }
    }

    /// <summary>What both sides can do and this server wants; fills the reply.</summary>
    internal static Negotiation Agree(
        in fuse_init_in init, bool readOnly, FuseOptions options, bool useIoUring, ref fuse_init_out reply)
    {
        var offered = (FuseInitFlags)init.flags;
        if (offered.HasFlag(FuseInitFlags.FUSE_INIT_EXT))
        {
            offered |= (FuseInitFlags)((ulong)init.flags2 << 32);
        }

        if ((offered & Required) != Required)
        {
            throw Refused($"the kernel lacks {Required & ~offered}");
        }

        FuseInitFlags wanted = Wanted;
        wanted |= options.WritebackCache && !readOnly ? FuseInitFlags.FUSE_WRITEBACK_CACHE : 0;
        wanted |= useIoUring ? FuseInitFlags.FUSE_OVER_IO_URING : 0;
        FuseInitFlags agreed = offered & wanted;

        int pageByteCount = Environment.SystemPageSize;
        int pages = Math.Clamp(options.MaximumRequestByteCount / pageByteCount, 1, MaximumPages());
        int maximumRequestByteCount = pages * pageByteCount;

        reply.major = FuseConstants.FUSE_KERNEL_VERSION;
        reply.minor = FuseConstants.FUSE_KERNEL_MINOR_VERSION;
        reply.max_readahead = Math.Max(init.max_readahead, (uint)Math.Max(0, options.ReadAheadByteCount));
        reply.flags = (uint)agreed;
        reply.flags2 = (uint)((ulong)agreed >> 32);
        reply.max_background = MaximumBackground;
        reply.congestion_threshold = CongestionThreshold;
        reply.max_write = (uint)maximumRequestByteCount;
        reply.max_pages = (ushort)pages;
        reply.time_gran = 1;
        return new Negotiation(agreed, Math.Min(init.minor, reply.minor), maximumRequestByteCount);
    }

    /// <summary>Whether requests come through io_uring, once every queue is registered.</summary>
    public bool UsesIoUring => Agreed.HasFlag(FuseInitFlags.FUSE_OVER_IO_URING);

    private static int MaximumPages()
    {
        try
        {
            string text = File.ReadAllText(MaximumPagesFile);
            return int.TryParse(text, NumberStyles.None | NumberStyles.AllowTrailingWhite, CultureInfo.InvariantCulture, out int pages)
                ? Math.Clamp(pages, 1, ushort.MaxValue)
                : DefaultMaximumPages;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return DefaultMaximumPages;
        }
    }

    private static void Answer(FuseDevice device, ulong unique, in fuse_init_out reply)
    {
        int byteCount = sizeof(fuse_out_header) + sizeof(fuse_init_out);
        byte* buffer = stackalloc byte[byteCount];
        *(fuse_out_header*)buffer = new fuse_out_header { len = (uint)byteCount, unique = unique };
        *(fuse_init_out*)(buffer + sizeof(fuse_out_header)) = reply;
        if (Libc.write(device.Descriptor, buffer, (nuint)byteCount) != byteCount)
        {
            throw Refused($"the kernel refused the answer to INIT: {Marshal.GetLastPInvokeErrorMessage()}");
        }
    }

    private static VDiskException Refused(string what) =>
        new(FailureKind.Unsupported, what, FuseDevice.Path, "use Linux 5.4 or newer, or work without a mount (ls, cat, cp)");
}
