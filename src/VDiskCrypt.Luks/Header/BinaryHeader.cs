using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace VDiskCrypt.Luks;

/// <summary>The binary header at the start of each copy (LUKS2 on-disk format 1.1, section 2.1); numbers are big-endian.</summary>
internal sealed record BinaryHeader
{
    public const int LabelByteCount = 48;
    public const int SaltByteCount = 64;
    public const string ChecksumAlgorithm = "sha256";

    private const int VersionAt = 6;
    private const int HeaderSizeAt = 8;
    private const int SequenceIdAt = 16;
    private const int LabelAt = 24;
    private const int ChecksumAlgorithmAt = 72;
    private const int ChecksumAlgorithmByteCount = 32;
    private const int SaltAt = 104;
    private const int UuidAt = 168;
    private const int UuidByteCount = 40;
    private const int SubsystemAt = 208;
    private const int HeaderOffsetAt = 256;
    private const int ChecksumAt = 448;
    private const int ChecksumByteCount = 64;

    /// <summary>Bytes up to the end of the checksum; zeros follow to 4096.</summary>
    public const int MeaningfulByteCount = ChecksumAt + ChecksumByteCount;

    /// <summary>Bytes of one copy: binary header and JSON area.</summary>
    public required int HeaderByteSize { get; init; }

    /// <summary>Rises with every update; the copy with the higher one counts.</summary>
    public required ulong SequenceId { get; init; }

    public required string Label { get; init; }

    public required string Uuid { get; init; }

    public required string Subsystem { get; init; }

    public required byte[] Salt { get; init; }

    /// <summary>Reads the binary header of a copy.</summary>
    /// <param name="bytes">At least 512 bytes.</param>
    /// <param name="secondary">Which magic is expected.</param>
    /// <param name="byteOffset">Where the copy was read; it must say the same.</param>
    /// <param name="objection">Why it is none, in words.</param>
    public static BinaryHeader? TryParse(ReadOnlySpan<byte> bytes, bool secondary, long byteOffset, out string objection)
    {
        objection = "";
        ulong headerByteSize = BinaryPrimitives.ReadUInt64BigEndian(bytes[HeaderSizeAt..]);
        if (!bytes.StartsWith(secondary ? Luks2Layout.SecondaryMagic : Luks2Layout.PrimaryMagic))
        {
            objection = "the magic is missing";
        }
        else if (BinaryPrimitives.ReadUInt16BigEndian(bytes[VersionAt..]) != Luks2Layout.Version)
        {
            objection = $"version {BinaryPrimitives.ReadUInt16BigEndian(bytes[VersionAt..])} instead of 2";
        }
        else if (BinaryPrimitives.ReadUInt64BigEndian(bytes[HeaderOffsetAt..]) != (ulong)byteOffset)
        {
            objection = $"it says it belongs at byte {BinaryPrimitives.ReadUInt64BigEndian(bytes[HeaderOffsetAt..])}";
        }
        else if (!Luks2Layout.IsHeaderByteSize(headerByteSize) || (secondary && headerByteSize != (ulong)byteOffset))
        {
            objection = $"a header size of {headerByteSize} bytes";
        }
        else if (ReadText(bytes.Slice(ChecksumAlgorithmAt, ChecksumAlgorithmByteCount)) != ChecksumAlgorithm)
        {
            objection = "a checksum algorithm other than sha256";
        }
        else if (ReadText(bytes.Slice(LabelAt, LabelByteCount)) is not string label
            || ReadText(bytes.Slice(UuidAt, UuidByteCount)) is not string uuid
            || ReadText(bytes.Slice(SubsystemAt, LabelByteCount)) is not string subsystem)
        {
            objection = "a text field that is not UTF-8 or has no end";
        }
        else
        {
            return new BinaryHeader
            {
                HeaderByteSize = (int)headerByteSize,
                SequenceId = BinaryPrimitives.ReadUInt64BigEndian(bytes[SequenceIdAt..]),
                Label = label,
                Uuid = uuid,
                Subsystem = subsystem,
                Salt = bytes.Slice(SaltAt, SaltByteCount).ToArray(),
            };
        }

        return null;
    }

    /// <summary>Whether the checksum over the whole copy, its own field as zeros, is the stored one.</summary>
    public static bool HasValidChecksum(Span<byte> copy)
    {
        Span<byte> stored = stackalloc byte[ChecksumByteCount];
        Span<byte> computed = stackalloc byte[ChecksumByteCount];
        copy.Slice(ChecksumAt, ChecksumByteCount).CopyTo(stored);
        computed.Clear();
        copy.Slice(ChecksumAt, ChecksumByteCount).Clear();
        SHA256.HashData(copy, computed);
        stored.CopyTo(copy[ChecksumAt..]);
        return stored[..SHA256.HashSizeInBytes].SequenceEqual(computed[..SHA256.HashSizeInBytes]);
    }

    /// <summary>Writes itself to the start of <paramref name="copy"/>, whose JSON area is in place, and seals the whole.</summary>
    public void Seal(Span<byte> copy, bool secondary)
    {
        copy[..Luks2Layout.BinaryHeaderByteSize].Clear();
        (secondary ? Luks2Layout.SecondaryMagic : Luks2Layout.PrimaryMagic).CopyTo(copy);
        BinaryPrimitives.WriteUInt16BigEndian(copy[VersionAt..], Luks2Layout.Version);
        BinaryPrimitives.WriteUInt64BigEndian(copy[HeaderSizeAt..], (ulong)HeaderByteSize);
        BinaryPrimitives.WriteUInt64BigEndian(copy[SequenceIdAt..], SequenceId);
        WriteText(Label, copy.Slice(LabelAt, LabelByteCount));
        WriteText(ChecksumAlgorithm, copy.Slice(ChecksumAlgorithmAt, ChecksumAlgorithmByteCount));
        Salt.CopyTo(copy[SaltAt..]);
        WriteText(Uuid, copy.Slice(UuidAt, UuidByteCount));
        WriteText(Subsystem, copy.Slice(SubsystemAt, LabelByteCount));
        BinaryPrimitives.WriteUInt64BigEndian(copy[HeaderOffsetAt..], secondary ? (ulong)HeaderByteSize : 0);
        SHA256.HashData(copy, copy.Slice(ChecksumAt, SHA256.HashSizeInBytes));
    }

    /// <summary>Whether a text fits a label field with its ending zero.</summary>
    public static bool FitsLabel(string text) =>
        Encoding.UTF8.GetByteCount(text) < LabelByteCount && !text.Contains('\0');

    /// <summary>Null when the field has no ending zero or is not UTF-8.</summary>
    private static string? ReadText(ReadOnlySpan<byte> field)
    {
        int length = field.IndexOf((byte)0);
        return length >= 0 && System.Text.Unicode.Utf8.IsValid(field[..length])
            ? Encoding.UTF8.GetString(field[..length])
            : null;
    }

    private static void WriteText(string text, Span<byte> field) => Encoding.UTF8.GetBytes(text, field[..^1]);
}
