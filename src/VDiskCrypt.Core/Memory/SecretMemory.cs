using System.Security.Cryptography;
using VDiskCrypt.Interop.Linux;
using VDiskCrypt.Interop.Windows;

namespace VDiskCrypt.Core;

/// <summary>
/// The only home of key bytes: keys, round keys, passphrases, unwrapped secrets. Native pages of their own, never moved
/// by the garbage collector, in memfd_secret memory where the kernel has it (not even root reads it through
/// /proc/PID/mem), otherwise locked and kept out of core dumps; wiped by Dispose.
/// </summary>
public sealed unsafe class SecretMemory : IDisposable
{
    private static readonly nuint PageByteSize = (nuint)Environment.SystemPageSize;

    private readonly nuint _mappedByteCount;
    private readonly int _byteCount;
    private nint _address;

    /// <summary><paramref name="byteCount"/> zero bytes.</summary>
    /// <exception cref="VDiskException">NoSpace when the limit for locked memory (RLIMIT_MEMLOCK) is used up.</exception>
    public SecretMemory(int byteCount)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(byteCount);
        _byteCount = byteCount;
        _mappedByteCount = ((nuint)byteCount + PageByteSize - 1) / PageByteSize * PageByteSize;
        _address = OperatingSystem.IsWindows() ? MapWindows(_mappedByteCount) : MapLinux(_mappedByteCount);
    }

    ~SecretMemory() => Release();

    public int ByteCount => _byteCount;

    public Span<byte> Span
    {
        get
        {
            ObjectDisposedException.ThrowIf(_address == 0, this);
            return new Span<byte>((void*)_address, _byteCount);
        }
    }

    /// <summary>The address of the first byte, aligned to a page.</summary>
    public nint Address
    {
        get
        {
            ObjectDisposedException.ThrowIf(_address == 0, this);
            return _address;
        }
    }

    /// <summary>Fresh random bytes from the system's generator.</summary>
    public static SecretMemory Random(int byteCount)
    {
        var secret = new SecretMemory(byteCount);
        RandomNumberGenerator.Fill(secret.Span);
        return secret;
    }

    /// <summary>Moves bytes in: copies them and wipes where they came from.</summary>
    public static SecretMemory Take(Span<byte> source)
    {
        var secret = new SecretMemory(Math.Max(source.Length, 1));
        source.CopyTo(secret.Span);
        CryptographicOperations.ZeroMemory(source);
        return secret;
    }

    public SecretMemory Copy()
    {
        var copy = new SecretMemory(_byteCount);
        Span.CopyTo(copy.Span);
        return copy;
    }

    public bool ContentEquals(SecretMemory other) => CryptographicOperations.FixedTimeEquals(Span, other.Span);

    public void Dispose()
    {
        Release();
        GC.SuppressFinalize(this);
    }

    public override string ToString() => nameof(SecretMemory);

    private static nint MapLinux(nuint byteCount)
    {
        int fd = (int)Libc.syscall(Libc.SYS_memfd_secret, 0);
        if (fd >= 0)
        {
            nint secret = Libc.ftruncate(fd, (long)byteCount) == 0
                ? Libc.mmap(0, byteCount, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED, fd, 0)
                : Libc.MAP_FAILED;
            Libc.close(fd);
            if (secret != Libc.MAP_FAILED)
            {
                Libc.madvise(secret, byteCount, Libc.MADV_DONTFORK);
                return secret;
            }
        }

        nint address = Libc.mmap(0, byteCount, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS, -1, 0);
        if (address == Libc.MAP_FAILED || Libc.mlock(address, byteCount) != 0)
        {
            if (address != Libc.MAP_FAILED)
            {
                Libc.munmap(address, byteCount);
            }

            throw LimitReached();
        }

        Libc.madvise(address, byteCount, Libc.MADV_DONTDUMP);
        Libc.madvise(address, byteCount, Libc.MADV_WIPEONFORK);
        return address;
    }

    private static nint MapWindows(nuint byteCount)
    {
        nint address = Kernel32.VirtualAlloc(0, byteCount, Kernel32.MEM_COMMIT | Kernel32.MEM_RESERVE, Kernel32.PAGE_READWRITE);
        if (address == 0 || !Kernel32.VirtualLock(address, byteCount))
        {
            throw LimitReached();
        }

        Kernel32.WerRegisterExcludedMemoryBlock(address, (uint)byteCount);
        return address;
    }

    private static VDiskException LimitReached() => new(
        FailureKind.NoSpace, "no memory can be locked for key material", "locked memory of this process",
        "raise the limit for locked memory (ulimit -l, LimitMEMLOCK=)");

    private void Release()
    {
        nint address = Interlocked.Exchange(ref _address, 0);
        if (address == 0)
        {
            return;
        }

        CryptographicOperations.ZeroMemory(new Span<byte>((void*)address, _byteCount));
        if (OperatingSystem.IsWindows())
        {
            Kernel32.VirtualFree(address, 0, Kernel32.MEM_RELEASE);
        }
        else
        {
            Libc.munmap(address, _mappedByteCount);
        }
    }
}
