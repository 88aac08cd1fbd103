using System.Buffers.Binary;
using System.Text;
using VDiskCrypt.Core;

namespace VDiskCrypt.Images.Vhdx;

/// <summary>The parent of a differencing image, by names ([MS-VHDX] 2.6.2.6). Such images are refused here, in this one place.</summary>
internal static class VhdxParentLocator
{
    private const int EntriesOffset = 20;
    private const int EntryByteSize = 12;
    private const int LargestEntryCount = 64;
    private static readonly string[] PathKeys = ["relative_path", "absolute_win32_path", "volume_path"];

    public static VDiskException Refuse(byte[]? locator) => VDiskException.Unsupported(
        "VHDX metadata", $"a differencing image on top of {(locator is null ? null : ParentPath(locator)) ?? "an unnamed parent"}",
        "merge it into its parent, or convert it: qemu-img convert -O vhdx");

    private static string? ParentPath(ReadOnlySpan<byte> locator)
    {
        if (locator.Length < EntriesOffset)
        {
            return null;
        }

        int count = Math.Min(BinaryPrimitives.ReadUInt16LittleEndian(locator[18..]), (ushort)LargestEntryCount);
        foreach (string wanted in PathKeys)
        {
            for (int i = 0; i < count && EntriesOffset + (i + 1) * EntryByteSize <= locator.Length; i++)
            {
                ReadOnlySpan<byte> entry = locator[(EntriesOffset + i * EntryByteSize)..];
                string? key = Text(
                    locator, BinaryPrimitives.ReadUInt32LittleEndian(entry), BinaryPrimitives.ReadUInt16LittleEndian(entry[8..]));
                if (key == wanted)
                {
                    return Text(
                        locator, BinaryPrimitives.ReadUInt32LittleEndian(entry[4..]),
                        BinaryPrimitives.ReadUInt16LittleEndian(entry[10..]));
                }
            }
        }

        return null;
    }

    private static string? Text(ReadOnlySpan<byte> locator, uint byteOffset, ushort byteCount) =>
        byteOffset <= locator.Length - byteCount
            ? Encoding.Unicode.GetString(locator.Slice((int)byteOffset, byteCount))
            : null;
}
