using VDiskCrypt.Core;

namespace VDiskCrypt.Images.Vhd;

/// <summary>
/// Finds out which footer of a file counts. The one at the end is the footer, the one at byte 0 the copy that a dynamic
/// image has. A guest can write the first bytes of a fixed image and, after a crash, the last ones of a dynamic image
/// may be a guest's too: where the two contradict each other, the image is refused, not guessed at.
/// </summary>
internal sealed class VhdFooterPair
{
    private VhdFooterPair(VhdFooter footer)
    {
        Footer = footer;
    }

    public VhdFooter Footer { get; }

    /// <summary>The copy at byte 0 has to be written again before the footer at the end may be overwritten.</summary>
    public bool LeadingIsDamaged { get; private init; }

    /// <summary>The bytes of the footer at the end of the file, 511 in very old images; 0 where it is damaged.</summary>
    public int TrailingByteSize { get; private init; }

    /// <summary>Null where nothing of a VHD is there.</summary>
    public static VhdFooterPair? TryRead(IHostFile file, List<string> notices)
    {
        if (file.ByteLength < VhdFooter.OldByteSize)
        {
            return null;
        }

        VhdFooter? trailing = ReadTrailing(file, out int trailingByteSize, out bool trailingHasCookie);
        VhdFooter? leading = ReadLeading(file, out bool leadingHasCookie);
        if (leading is { Type: VhdType.Fixed })
        {
            // A fixed image has no copy at byte 0: that is what the disk inside holds.
            leading = null;
        }

        if (trailing is not null)
        {
            return trailing.Type == VhdType.Fixed
                ? OfFixed(trailing, trailingByteSize, leading)
                : OfDynamic(file, trailing, trailingByteSize, leading, notices);
        }

        if (leading is not null)
        {
            notices.Add("the VHD footer at the end of the file is damaged; its copy at byte 0 is used");
            return new VhdFooterPair(leading);
        }

        return trailingHasCookie || leadingHasCookie
            ? throw VDiskException.Damaged(
                "VHD footer", trailingHasCookie ? file.ByteLength - VhdFooter.ByteSize : 0,
                "the checksum is wrong and there is no other copy", "restore the footer from a backup")
            : null;
    }

    private static VhdFooterPair OfFixed(VhdFooter trailing, int trailingByteSize, VhdFooter? leading) =>
        leading is null
            ? new VhdFooterPair(trailing) { TrailingByteSize = trailingByteSize }
            : throw Contradiction("the footer at the end says fixed, the one at byte 0 dynamic");

    private static VhdFooterPair OfDynamic(
        IHostFile file, VhdFooter trailing, int trailingByteSize, VhdFooter? leading, List<string> notices)
    {
        if (leading is null)
        {
            notices.Add("the copy of the VHD footer at byte 0 is damaged; the footer at the end is used");
            return new VhdFooterPair(trailing) { LeadingIsDamaged = true, TrailingByteSize = trailingByteSize };
        }

        if (leading.UniqueId != trailing.UniqueId || leading.Type != trailing.Type)
        {
            throw Contradiction("the footers at byte 0 and at the end belong to different images");
        }

        if (leading != trailing && trailingByteSize == VhdFooter.ByteSize)
        {
            notices.Add("the two copies of the VHD footer differ; the one at byte 0 is used");
        }

        return new VhdFooterPair(leading) { TrailingByteSize = trailingByteSize };
    }

    private static VDiskException Contradiction(string what) => VDiskException.Damaged(
        "VHD footer", 0, what, "copy the image and restore the footer that is right");

    private static VhdFooter? ReadTrailing(IHostFile file, out int byteSize, out bool hasCookie)
    {
        Span<byte> bytes = stackalloc byte[VhdFooter.ByteSize];
        hasCookie = false;
        foreach (int size in (ReadOnlySpan<int>)[VhdFooter.ByteSize, VhdFooter.OldByteSize])
        {
            bytes.Clear();
            if (file.ByteLength >= size)
            {
                file.Read(file.ByteLength - size, bytes[..size]);
                hasCookie |= VhdFooter.HasCookie(bytes);
                if (VhdFooter.Parse(bytes) is VhdFooter footer)
                {
                    byteSize = size;
                    return footer;
                }
            }
        }

        byteSize = 0;
        return null;
    }

    private static VhdFooter? ReadLeading(IHostFile file, out bool hasCookie)
    {
        Span<byte> bytes = stackalloc byte[VhdFooter.ByteSize];
        hasCookie = false;
        if (file.ByteLength < 2 * VhdFooter.ByteSize)
        {
            return null;
        }

        file.Read(0, bytes);
        hasCookie = VhdFooter.HasCookie(bytes);
        return VhdFooter.Parse(bytes);
    }
}
