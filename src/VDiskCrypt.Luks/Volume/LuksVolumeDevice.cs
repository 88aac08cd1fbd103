using VDiskCrypt.Core;
using VDiskCrypt.Crypto;

namespace VDiskCrypt.Luks;

/// <summary>
/// The decrypted data segment of a LUKS2 volume. Reads decrypt in place in the caller's buffer; writes encrypt into
/// rented buffers. XTS does not chain, so any range of whole 16-byte blocks goes through without reading the rest of its
/// sector; a smaller one reads and rewrites its one cipher block, apart from other writes of it.
/// </summary>
public sealed partial class LuksVolumeDevice : IBlockDevice
{
    /// <summary>What one write encrypts before it hands on, at most.</summary>
    private const int PieceByteSize = 1 << 20;

    private const int CipherBlock = AesXtsCipher.BlockByteSize;

    private static readonly byte[] ZeroBlock = new byte[CipherBlock];

    private readonly IBlockDevice _device;
    private readonly bool _ownsDevice;
    private readonly AesXtsCipher _cipher;
    private readonly WriteRanges _writes = new();
    private readonly long _dataByteOffset;
    private readonly ulong _firstTweak;
    private readonly int _sectorByteSize;
    private readonly ulong _tweaksPerSector;
    private readonly bool _allowDiscards;

    private LuksVolumeDevice(IBlockDevice device, LuksHeader header, SecretMemory volumeKey, bool ownsDevice)
    {
        LuksSegment segment = header.DataSegment;
        _device = device;
        _ownsDevice = ownsDevice;
        _dataByteOffset = segment.ByteOffset;
        _firstTweak = segment.TweakOffset;
        _sectorByteSize = segment.SectorByteSize;
        _tweaksPerSector = (ulong)(segment.SectorByteSize / Luks2Layout.TweakUnitByteSize);
        _allowDiscards = header.AllowsDiscards;
        long available = device.ByteLength - segment.ByteOffset;
        ByteLength = segment.ByteLength ?? available / _sectorByteSize * _sectorByteSize;
        if (available < ByteLength || ByteLength <= 0)
        {
            throw VDiskException.Damaged(
                "LUKS2 data segment", segment.ByteOffset,
                $"the device ends at byte {device.ByteLength}, before the end of the data", "the image was cut short: restore it");
        }

        _cipher = new AesXtsCipher(volumeKey);
    }

    public long ByteLength { get; }

    /// <summary>The encryption sector.</summary>
    public int BlockByteSize => _sectorByteSize;

    public bool IsReadOnly => _device.IsReadOnly;

    /// <summary>The AES kernel in use.</summary>
    public string KernelName => _cipher.KernelName;

    /// <summary>Opens the data of a volume. The key is verified against the header's digest first.</summary>
    /// <param name="header">The header, from this device or from a device of its own.</param>
    /// <param name="volumeKey">Copied in expanded form; the caller keeps its own.</param>
    /// <param name="device">The device that holds the data.</param>
    /// <param name="ownsDevice">Whether Dispose disposes the device as well.</param>
    /// <exception cref="VDiskException">WrongCredential, Unsupported, Damaged, NotPermitted (equal key halves).</exception>
    public static LuksVolumeDevice Open(LuksHeader header, SecretMemory volumeKey, IBlockDevice device, bool ownsDevice = false)
    {
        if (!header.IsVolumeKey(volumeKey))
        {
            throw new VDiskException(
                FailureKind.WrongCredential, "the key is not the volume key of this volume", $"LUKS2 volume {header.Uuid}");
        }

        return new LuksVolumeDevice(device, header, volumeKey, ownsDevice);
    }

    public void Read(long byteOffset, Span<byte> destination)
    {
        RequireInside(byteOffset, destination.Length);
        if (IsWholeBlocks(byteOffset, destination.Length))
        {
            _device.Read(_dataByteOffset + byteOffset, destination);
            Transform(false, byteOffset, destination, destination);
        }
        else
        {
            ReadUnaligned(byteOffset, destination);
        }
    }

    public void Write(long byteOffset, ReadOnlySpan<byte> source, bool forceUnitAccess = false)
    {
        RequireWritable();
        RequireInside(byteOffset, source.Length);
        if (IsWholeBlocks(byteOffset, source.Length))
        {
            WriteBlocks(byteOffset, source, source.Length, forceUnitAccess);
        }
        else
        {
            WriteUnaligned(byteOffset, source, forceUnitAccess);
        }
    }

    public void Flush() => _device.Flush();

    /// <summary>Passed on, cut to whole sectors, where the header has the flag allow-discards; otherwise nothing.</summary>
    public void Discard(long byteOffset, long byteCount)
    {
        RequireWritable();
        RequireInside(byteOffset, byteCount);
        long start = (byteOffset + _sectorByteSize - 1) / _sectorByteSize * _sectorByteSize;
        long end = (byteOffset + byteCount) / _sectorByteSize * _sectorByteSize;
        if (_allowDiscards && start < end)
        {
            _device.Discard(_dataByteOffset + start, end - start);
        }
    }

    /// <summary>Writes zeros through the cipher: zeros on the device below would read as noise.</summary>
    public void WriteZeroes(long byteOffset, long byteCount)
    {
        RequireWritable();
        RequireInside(byteOffset, byteCount);
        long end = byteOffset + byteCount;
        while (byteOffset < end)
        {
            if (byteOffset % CipherBlock != 0 || end - byteOffset < CipherBlock)
            {
                int fragment = (int)Math.Min(CipherBlock - (byteOffset % CipherBlock), end - byteOffset);
                WriteFragment(byteOffset, ZeroBlock.AsSpan(0, fragment), forceUnitAccess: false);
                byteOffset += fragment;
            }
            else
            {
                long whole = (end - byteOffset) / CipherBlock * CipherBlock;
                WriteBlocks(byteOffset, default, whole, forceUnitAccess: false);
                byteOffset += whole;
            }
        }
    }

    /// <summary>Waits for calls that are under way and wipes the keys.</summary>
    public void Dispose()
    {
        _cipher.Dispose();
        if (_ownsDevice)
        {
            _device.Dispose();
        }
    }

    private static bool IsWholeBlocks(long byteOffset, long byteCount) => ((byteOffset | byteCount) & (CipherBlock - 1)) == 0;

    /// <summary>Whole cipher blocks; an empty source stands for zeros.</summary>
    private void WriteBlocks(long byteOffset, ReadOnlySpan<byte> source, long byteCount, bool forceUnitAccess)
    {
        bool severalPieces = byteCount > PieceByteSize;
        int slot = _writes.EnterShared(byteOffset, byteOffset + byteCount);
        try
        {
            using AlignedBuffer buffer = AlignedBuffer.Rent((int)Math.Min(byteCount, PieceByteSize));
            while (byteCount > 0)
            {
                // Behind the first piece every piece begins at a sector.
                long toBoundary = PieceByteSize - (byteOffset % _sectorByteSize);
                Span<byte> piece = buffer.Span[..(int)Math.Min(byteCount, Math.Min(toBoundary, buffer.Span.Length))];
                if (source.IsEmpty)
                {
                    piece.Clear();
                    Transform(true, byteOffset, piece, piece);
                }
                else
                {
                    Transform(true, byteOffset, source[..piece.Length], piece);
                    source = source[piece.Length..];
                }

                _device.Write(_dataByteOffset + byteOffset, piece, forceUnitAccess && !severalPieces);
                byteOffset += piece.Length;
                byteCount -= piece.Length;
            }
        }
        finally
        {
            _writes.LeaveShared(slot);
        }

        if (forceUnitAccess && severalPieces)
        {
            _device.Flush();
        }
    }

    /// <summary>Encrypts or decrypts whole cipher blocks at a place: part of a sector, whole sectors, part of a sector.</summary>
    private void Transform(bool encrypt, long byteOffset, ReadOnlySpan<byte> source, Span<byte> destination)
    {
        while (!source.IsEmpty)
        {
            int inSector = (int)(byteOffset % _sectorByteSize);
            ulong tweak = unchecked(_firstTweak + ((ulong)(byteOffset / _sectorByteSize) * _tweaksPerSector));
            int count;
            if (inSector != 0 || source.Length < _sectorByteSize)
            {
                count = Math.Min(source.Length, _sectorByteSize - inSector);
                if (encrypt)
                {
                    _cipher.EncryptPart(tweak, inSector / CipherBlock, source[..count], destination[..count]);
                }
                else
                {
                    _cipher.DecryptPart(tweak, inSector / CipherBlock, source[..count], destination[..count]);
                }
            }
            else
            {
                count = source.Length / _sectorByteSize * _sectorByteSize;
                if (encrypt)
                {
                    _cipher.Encrypt(tweak, _sectorByteSize, _tweaksPerSector, source[..count], destination[..count]);
                }
                else
                {
                    _cipher.Decrypt(tweak, _sectorByteSize, _tweaksPerSector, source[..count], destination[..count]);
                }
            }

            byteOffset += count;
            source = source[count..];
            destination = destination[count..];
        }
    }

    private void RequireInside(long byteOffset, long byteCount)
    {
        if (byteOffset < 0 || byteCount < 0 || byteOffset > ByteLength - byteCount)
        {
            throw new VDiskException(
                FailureKind.Internal, $"a request of {byteCount} bytes at {byteOffset} lies outside the volume of {ByteLength} bytes");
        }
    }

    private void RequireWritable()
    {
        if (IsReadOnly)
        {
            throw new VDiskException(FailureKind.ReadOnly, "the volume is open for reading only");
        }
    }
}
