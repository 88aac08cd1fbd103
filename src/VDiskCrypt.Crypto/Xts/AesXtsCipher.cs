using VDiskCrypt.Core;

namespace VDiskCrypt.Crypto;

/// <summary>
/// XTS-AES (IEEE 1619-2018; NIST SP 800-38E) with the tweak of dm-crypt's plain64: the number of the data unit, 64 bits
/// little-endian, in units that the caller chooses (LUKS2 counts 512 bytes at every sector size). Thread-safe.
/// </summary>
/// <remarks>
/// Source and destination have one length and are either the same memory or do not overlap. Dispose waits for calls that
/// are under way and wipes the round keys; a call after it is an <see cref="ObjectDisposedException"/>.
/// </remarks>
public sealed unsafe class AesXtsCipher : IDisposable
{
    public const int BlockByteSize = 16;

    /// <summary>2^20 blocks (IEEE 1619-2018, section 5.1).</summary>
    public const int LargestUnitByteSize = BlockByteSize << 20;

    private const long Closed = long.MinValue;

    private readonly AesXtsTransform _transform;

    /// <summary>How many calls are inside, and the closed bit.</summary>
    private long _users;

    /// <summary>Takes a copy of the key, expanded; the caller keeps its own.</summary>
    public AesXtsCipher(SecretMemory key)
        : this(key.Span, AesXtsKernels.Selected)
    {
    }

    /// <summary>With a kernel by name, for measurements and tests.</summary>
    public AesXtsCipher(SecretMemory key, string kernelName)
        : this(key.Span, AesXtsKernels.Find(kernelName))
    {
    }

    internal AesXtsCipher(ReadOnlySpan<byte> key, AesXtsKernel kernel)
    {
        AesXtsKey.Require(key);
        _transform = kernel.Create(key);
        KernelName = kernel.Name;
    }

    /// <summary>The kernel in use.</summary>
    public string KernelName { get; }

    /// <summary>Encrypts whole sectors. See <see cref="Decrypt"/>.</summary>
    public void Encrypt(
        ulong firstSectorNumber, int sectorByteSize, ulong tweakStep, ReadOnlySpan<byte> source, Span<byte> destination) =>
        TransformSectors(true, firstSectorNumber, sectorByteSize, tweakStep, source, destination);

    /// <summary>Decrypts whole sectors.</summary>
    /// <param name="firstSectorNumber">The tweak of the first sector.</param>
    /// <param name="sectorByteSize">Bytes of a data unit, a multiple of 16 up to 16 MiB.</param>
    /// <param name="tweakStep">What each sector adds to the tweak: its size in 512-byte units for LUKS2.</param>
    /// <param name="source">Whole sectors.</param>
    /// <param name="destination">As long as the source.</param>
    public void Decrypt(
        ulong firstSectorNumber, int sectorByteSize, ulong tweakStep, ReadOnlySpan<byte> source, Span<byte> destination) =>
        TransformSectors(false, firstSectorNumber, sectorByteSize, tweakStep, source, destination);

    /// <summary>
    /// Encrypts whole 16-byte blocks that lie inside one data unit, the first being its block
    /// <paramref name="firstBlockIndex"/>: XTS does not chain, so the rest of the unit is not needed.
    /// </summary>
    public void EncryptPart(ulong sectorNumber, int firstBlockIndex, ReadOnlySpan<byte> source, Span<byte> destination) =>
        TransformPart(true, sectorNumber, firstBlockIndex, source, destination);

    /// <summary>Decrypts what <see cref="EncryptPart"/> made.</summary>
    public void DecryptPart(ulong sectorNumber, int firstBlockIndex, ReadOnlySpan<byte> source, Span<byte> destination) =>
        TransformPart(false, sectorNumber, firstBlockIndex, source, destination);

    /// <summary>
    /// Encrypts one data unit of any length from 16 bytes up, by ciphertext stealing where it is no multiple of 16
    /// (IEEE 1619-2018, section 5.3.2).
    /// </summary>
    public void EncryptUnit(UInt128 unitNumber, ReadOnlySpan<byte> source, Span<byte> destination) =>
        TransformUnit(true, unitNumber, source, destination);

    /// <summary>Decrypts one data unit (IEEE 1619-2018, section 5.4.2).</summary>
    public void DecryptUnit(UInt128 unitNumber, ReadOnlySpan<byte> source, Span<byte> destination) =>
        TransformUnit(false, unitNumber, source, destination);

    public void Dispose()
    {
        if ((Interlocked.Or(ref _users, Closed) & Closed) != 0)
        {
            return;
        }

        var spin = default(SpinWait);
        while (Volatile.Read(ref _users) != Closed)
        {
            spin.SpinOnce();
        }

        _transform.Dispose();
    }

    private static void RequireSameOrApart(ReadOnlySpan<byte> source, Span<byte> destination)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(destination.Length, source.Length, nameof(destination));
        if (source.Overlaps(destination, out int elementOffset) && elementOffset != 0)
        {
            throw new ArgumentException("source and destination overlap in part", nameof(destination));
        }
    }

    private void TransformSectors(
        bool encrypt, ulong firstSectorNumber, int sectorByteSize, ulong tweakStep,
        ReadOnlySpan<byte> source, Span<byte> destination)
    {
        RequireSameOrApart(source, destination);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(sectorByteSize);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(sectorByteSize, LargestUnitByteSize);
        ArgumentOutOfRangeException.ThrowIfNotEqual(sectorByteSize % BlockByteSize, 0, nameof(sectorByteSize));
        ArgumentOutOfRangeException.ThrowIfNotEqual(source.Length % sectorByteSize, 0, nameof(source));
        Enter();
        try
        {
            // The spans are pinned and their lengths checked above: the kernel stays inside them.
            fixed (byte* from = source, to = destination)
            {
                _transform.TransformUnits(
                    encrypt, firstSectorNumber, tweakStep, sectorByteSize, from, to, (nuint)(source.Length / sectorByteSize));
            }
        }
        finally
        {
            Leave();
        }
    }

    private void TransformPart(
        bool encrypt, UInt128 unitNumber, int firstBlockIndex, ReadOnlySpan<byte> source, Span<byte> destination)
    {
        RequireSameOrApart(source, destination);
        ArgumentOutOfRangeException.ThrowIfNegative(firstBlockIndex);
        ArgumentOutOfRangeException.ThrowIfNotEqual(source.Length % BlockByteSize, 0, nameof(source));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(
            ((long)firstBlockIndex * BlockByteSize) + source.Length, LargestUnitByteSize, nameof(source));
        Enter();
        try
        {
            // The spans are pinned and their lengths checked above: the kernel stays inside them.
            fixed (byte* from = source, to = destination)
            {
                _transform.TransformBlocks(
                    encrypt, unitNumber, firstBlockIndex, from, to, (nuint)(source.Length / BlockByteSize));
            }
        }
        finally
        {
            Leave();
        }
    }

    private void TransformUnit(bool encrypt, UInt128 unitNumber, ReadOnlySpan<byte> source, Span<byte> destination)
    {
        RequireSameOrApart(source, destination);
        ArgumentOutOfRangeException.ThrowIfLessThan(source.Length, BlockByteSize, nameof(source));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(source.Length, LargestUnitByteSize, nameof(source));
        int tail = source.Length % BlockByteSize;
        if (tail == 0)
        {
            TransformPart(encrypt, unitNumber, 0, source, destination);
            return;
        }

        // Ciphertext stealing: the last whole block is transformed twice; in decryption the two last tweaks swap places.
        int wholeBlocks = source.Length / BlockByteSize;
        int lastWhole = (wholeBlocks - 1) * BlockByteSize;
        int stolenAt = wholeBlocks * BlockByteSize;
        Span<byte> middle = stackalloc byte[BlockByteSize];
        Span<byte> stolen = stackalloc byte[BlockByteSize];
        source[stolenAt..].CopyTo(stolen);
        TransformPart(
            encrypt, unitNumber, encrypt ? wholeBlocks - 1 : wholeBlocks, source.Slice(lastWhole, BlockByteSize), middle);
        middle[tail..].CopyTo(stolen[tail..]);
        TransformPart(encrypt, unitNumber, 0, source[..lastWhole], destination[..lastWhole]);
        middle[..tail].CopyTo(destination[stolenAt..]);
        TransformPart(
            encrypt, unitNumber, encrypt ? wholeBlocks : wholeBlocks - 1, stolen, destination.Slice(lastWhole, BlockByteSize));
        middle.Clear();
        stolen.Clear();
    }

    private void Enter()
    {
        if (Interlocked.Increment(ref _users) < 0)
        {
            Interlocked.Decrement(ref _users);
            throw new ObjectDisposedException(nameof(AesXtsCipher));
        }
    }

    private void Leave() => Interlocked.Decrement(ref _users);
}
