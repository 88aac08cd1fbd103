using VDiskCrypt.Interop.Linux;

namespace VDiskCrypt.Fuse;

/// <summary>
/// Keeps a thread on one processor while its requests are short, and lets it go while they are long: a short one is done
/// soonest beside the program that waits for it, a long one would keep that program from running. For one thread.
/// </summary>
internal sealed unsafe class ProcessorPin(int processor)
{
    /// <summary>Serving so many bytes takes longer than moving to another processor.</summary>
    private const int LongByteCount = 64 << 10;

    /// <summary>So many short requests in a row, and the thread is pinned again.</summary>
    private const int ShortLimit = 32;

    private readonly byte[] _everywhere = new byte[Libc.CpuSetByteCount];
    private bool _isMovable;
    private int _shortCount;
    private bool _isPinned;

    /// <summary>Notes where the calling thread may run, then pins it; where that is not allowed it runs anywhere.</summary>
    public void Start()
    {
        fixed (byte* mask = _everywhere)
        {
            _isMovable = Libc.sched_getaffinity(0, Libc.CpuSetByteCount, mask) == 0;
        }

        _isPinned = _isMovable && Processors.TryPin(processor);
    }

    /// <summary>A request of so many bytes of data comes next.</summary>
    public void Prepare(int byteCount)
    {
        if (!_isMovable)
        {
            return;
        }

        if (byteCount >= LongByteCount)
        {
            _shortCount = 0;
            if (_isPinned)
            {
                Release();
            }
        }
        else if (!_isPinned && ++_shortCount == ShortLimit)
        {
            _isPinned = Processors.TryPin(processor);
        }
    }

    private void Release()
    {
        fixed (byte* mask = _everywhere)
        {
            _isPinned = Libc.sched_setaffinity(0, Libc.CpuSetByteCount, mask) != 0;
        }
    }
}
