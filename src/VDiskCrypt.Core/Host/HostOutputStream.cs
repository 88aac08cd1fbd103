using System.Runtime.InteropServices;
using VDiskCrypt.Interop.Linux;

namespace VDiskCrypt.Core;

/// <summary>
/// Standard output by write(2): unbuffered, at the position that other programs share, and a reader who went away is a
/// failure; Linux only.
/// </summary>
public sealed unsafe class HostOutputStream : Stream
{
    private const int StandardOutput = 1;

    /// <summary>POLLOUT of poll(2).</summary>
    private const short PollOut = 4;

    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <exception cref="VDiskException">NoSpace, InputOutput (a broken pipe, too).</exception>
    public override void Write(ReadOnlySpan<byte> buffer)
    {
        fixed (byte* start = buffer)
        {
            for (int done = 0; done < buffer.Length;)
            {
                nint count = Libc.write(StandardOutput, start + done, (nuint)(buffer.Length - done));
                if (count >= 0)
                {
                    done += (int)count;
                    continue;
                }

                int errno = Marshal.GetLastPInvokeError();
                if (errno == Errno.EAGAIN)
                {
                    WaitUntilWritable();
                }
                else if (errno != Errno.EINTR)
                {
                    throw HostError.FromErrno(errno, "write", "standard output");
                }
            }
        }
    }

    /// <summary>Whoever shares the descriptor may have made it non-blocking.</summary>
    private static void WaitUntilWritable()
    {
        var descriptor = new Libc.struct_pollfd { fd = StandardOutput, events = PollOut };
        Libc.poll(&descriptor, 1, -1);
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override void Flush()
    {
    }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();
}
