using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace VDiskCrypt.Images.Vhd;

/// <summary>The disk type of a VHD footer.</summary>
internal enum VhdType : uint
{
    Fixed = 2,
    Dynamic = 3,
    Differencing = 4,
}

/// <summary>
/// The footer, 512 bytes, big-endian ("Virtual Hard Disk Image Format Specification" 1.0, "Hard Disk Footer Format"):
/// the last bytes of every VHD, and of all but fixed ones a copy at byte 0.
/// </summary>
internal sealed record VhdFooter
{
    public const int ByteSize = 512;

    /// <summary>What programs before Virtual PC 2004 wrote: the same without the last reserved byte.</summary>
    public const int OldByteSize = 511;

    /// <summary>Where a table has no next structure.</summary>
    public const ulong NoOffset = ulong.MaxValue;

    /// <summary>2040 GiB: the largest geometry-free size that Windows and QEMU take for a dynamic image.</summary>
    public const long LargestDynamicDiskByteSize = 2040L << 30;

    private const ulong Cookie = 0x636F_6E65_6374_6978;
    private const uint ReservedFeature = 2;
    private const uint FormatVersion = 0x0001_0000;
    private const int ChecksumOffset = 64;

    /// <summary>
    /// NOTE: QEMU takes the size of an image from its geometry, which cannot say every size, unless it knows the creator;
    /// "win " (Windows) is one whose <see cref="DiskByteSize"/> it believes (block/vpc.c).
    /// </summary>
    private const uint CreatorApplication = 0x7769_6E20;

    private const uint CreatorVersion = 0x000A_0000;
    private const uint CreatorHostWindows = 0x5769_326B;
    private static readonly DateTime Epoch = new(2000, 1, 1, 0, 0, 0, DateTimeKind.Utc);

    public uint Version { get; init; } = FormatVersion;

    /// <summary>Where the dynamic disk header is; <see cref="NoOffset"/> in a fixed image.</summary>
    public ulong DataOffset { get; init; } = NoOffset;

    public ulong DiskByteSize { get; init; }

    public VhdType Type { get; init; }

    public Guid UniqueId { get; init; }

    /// <summary>A saved state of a virtual machine belongs to the image.</summary>
    public bool HasSavedState { get; init; }

    /// <summary>The bytes it was read from, checksum and all; empty for a new one.</summary>
    public ReadOnlyMemory<byte> Bytes { get; init; }

    public static bool HasCookie(ReadOnlySpan<byte> bytes) => BinaryPrimitives.ReadUInt64BigEndian(bytes) == Cookie;

    /// <summary>Null where the cookie or the checksum is wrong.</summary>
    public static VhdFooter? Parse(ReadOnlySpan<byte> bytes)
    {
        if (!HasCookie(bytes) || BinaryPrimitives.ReadUInt32BigEndian(bytes[ChecksumOffset..]) != VhdChecksum.Compute(bytes, ChecksumOffset))
        {
            return null;
        }

        return new VhdFooter
        {
            Version = BinaryPrimitives.ReadUInt32BigEndian(bytes[12..]),
            DataOffset = BinaryPrimitives.ReadUInt64BigEndian(bytes[16..]),
            DiskByteSize = BinaryPrimitives.ReadUInt64BigEndian(bytes[48..]),
            Type = (VhdType)BinaryPrimitives.ReadUInt32BigEndian(bytes[60..]),
            UniqueId = new Guid(bytes[68..84], bigEndian: true),
            HasSavedState = bytes[84] != 0,
            Bytes = bytes.ToArray(),
        };
    }

    /// <summary>The bytes of a new footer, made now.</summary>
    public static byte[] Create(VhdType type, long diskByteSize, ulong dataOffset)
    {
        byte[] bytes = new byte[ByteSize];
        Span<byte> span = bytes;
        BinaryPrimitives.WriteUInt64BigEndian(span, Cookie);
        BinaryPrimitives.WriteUInt32BigEndian(span[8..], ReservedFeature);
        BinaryPrimitives.WriteUInt32BigEndian(span[12..], FormatVersion);
        BinaryPrimitives.WriteUInt64BigEndian(span[16..], dataOffset);
        BinaryPrimitives.WriteUInt32BigEndian(span[24..], (uint)(DateTime.UtcNow - Epoch).TotalSeconds);
        BinaryPrimitives.WriteUInt32BigEndian(span[28..], CreatorApplication);
        BinaryPrimitives.WriteUInt32BigEndian(span[32..], CreatorVersion);
        BinaryPrimitives.WriteUInt32BigEndian(span[36..], CreatorHostWindows);
        BinaryPrimitives.WriteInt64BigEndian(span[40..], diskByteSize);
        BinaryPrimitives.WriteInt64BigEndian(span[48..], diskByteSize);
        VhdGeometry geometry = VhdGeometry.ForSize(diskByteSize);
        BinaryPrimitives.WriteUInt16BigEndian(span[56..], geometry.Cylinders);
        span[58] = geometry.Heads;
        span[59] = geometry.SectorsPerTrack;
        BinaryPrimitives.WriteUInt32BigEndian(span[60..], (uint)type);
        RandomNumberGenerator.Fill(span[68..84]);
        BinaryPrimitives.WriteUInt32BigEndian(span[ChecksumOffset..], VhdChecksum.Compute(span, ChecksumOffset));
        return bytes;
    }

    public bool Equals(VhdFooter? other) => other is not null && Bytes.Span.SequenceEqual(other.Bytes.Span);

    public override int GetHashCode() => UniqueId.GetHashCode();

    /// <summary>The program that made it, four characters.</summary>
    public string Creator => Encoding.ASCII.GetString(Bytes.Span.Slice(28, 4)).TrimEnd('\0', ' ');
}
