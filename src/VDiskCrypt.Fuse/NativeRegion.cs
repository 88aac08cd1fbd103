using VDiskCrypt.Core;
using VDiskCrypt.Interop.Linux;

namespace VDiskCrypt.Fuse;

/// <summary>
/// Page-aligned native memory that the kernel reads and writes. Pages that are never touched take no memory; contents
/// (plaintext of files) are kept out of core dumps.
/// </summary>
internal sealed unsafe class NativeRegion : IDisposable
{
    private readonly nuint _byteCount;
    private nint _address;

    public NativeRegion(int byteCount)
    {
        _byteCount = (nuint)byteCount;
        _address = Libc.mmap(
            0, _byteCount, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS, -1, 0);
        if (_address == Libc.MAP_FAILED)
        {
            throw new VDiskException(
                FailureKind.NoSpace, $"no memory for a request buffer of {byteCount} bytes", "FUSE worker",
                "raise the memory limit of this process or lower the number of workers");
        }

        // Refused only where the kernel lacks it; the buffer works all the same.
        _ = Libc.madvise(_address, _byteCount, Libc.MADV_DONTDUMP);
    }

    public byte* Start => (byte*)_address;

    public void Dispose()
    {
        nint address = Interlocked.Exchange(ref _address, 0);
        if (address != 0)
        {
            _ = Libc.munmap(address, _byteCount);
        }
    }
}
