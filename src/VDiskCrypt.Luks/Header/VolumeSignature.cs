using System.Buffers.Binary;
using VDiskCrypt.Core;

namespace VDiskCrypt.Luks;

/// <summary>Tells what a device without a LUKS2 header holds, so that the message can name the right tool.</summary>
internal static class VolumeSignature
{
    private const int VersionAt = 6;

    public static bool HasLuks2Magic(IBlockDevice device)
    {
        Span<byte> start = stackalloc byte[8];
        if (!TryRead(device, 0, start))
        {
            return false;
        }

        if (start.StartsWith(Luks2Layout.PrimaryMagic)
            && BinaryPrimitives.ReadUInt16BigEndian(start[VersionAt..]) == Luks2Layout.Version)
        {
            return true;
        }

        for (long offset = Luks2Layout.SmallestHeaderByteSize; offset <= Luks2Layout.LargestHeaderByteSize; offset *= 2)
        {
            if (TryRead(device, offset, start) && start.StartsWith(Luks2Layout.SecondaryMagic))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>The failure for a device without a LUKS2 header.</summary>
    public static VDiskException Explain(IBlockDevice device)
    {
        const string Where = "start of the volume, byte 0";
        Span<byte> start = stackalloc byte[512];
        start.Clear();
        TryRead(device, 0, start);
        if (start.StartsWith(Luks2Layout.PrimaryMagic))
        {
            int version = BinaryPrimitives.ReadUInt16BigEndian(start[VersionAt..]);
            return version == 1
                ? VDiskException.Unsupported(Where, "the volume is LUKS1", "convert its header: cryptsetup convert --type luks2")
                : VDiskException.Unsupported(Where, $"the volume is LUKS of version {version}");
        }

        // FileVault 2 and BitLocker have names of their own; VeraCrypt's headers are random bytes on purpose.
        if (start[3..].StartsWith("-FVE-FS-"u8) || start[3..].StartsWith("MSWIN4.1"u8) && ContainsBitLockerToGo(start))
        {
            return VDiskException.Unsupported(
                Where, "the volume is BitLocker", "open it with Windows, or with cryptsetup open --type bitlk");
        }

        string? other =
            !start.ContainsAnyExcept((byte)0) ? "zeros"
            : start[510] == 0x55 && start[511] == 0xAA ? "a boot sector or partition table"
            : HasExtMagic(device) ? "an unencrypted ext2, ext3 or ext4 filesystem"
            : null;
        return other is null
            ? new VDiskException(
                FailureKind.Damaged, "there is no LUKS2 header, and nothing else that is recognised", Where,
                "check the image and the partition; a VeraCrypt volume looks like this and is opened by VeraCrypt "
                + "or cryptsetup open --type tcrypt --veracrypt")
            : new VDiskException(
                FailureKind.Unsupported, $"there is no LUKS2 header: the volume begins with {other}", Where,
                "check the image and the partition");
    }

    /// <summary>BitLocker To Go keeps its identifier at byte 424 of a FAT boot sector.</summary>
    private static bool ContainsBitLockerToGo(ReadOnlySpan<byte> start) =>
        start[424..].StartsWith((ReadOnlySpan<byte>)[0x3B, 0xD6, 0x67, 0x49, 0x29, 0x2E, 0xD8, 0x4A]);

    private static bool HasExtMagic(IBlockDevice device)
    {
        Span<byte> magic = stackalloc byte[2];
        return TryRead(device, 1024 + 56, magic) && BinaryPrimitives.ReadUInt16LittleEndian(magic) == 0xEF53;
    }

    private static bool TryRead(IBlockDevice device, long byteOffset, Span<byte> destination)
    {
        if (device.ByteLength - byteOffset < destination.Length)
        {
            return false;
        }

        device.Read(byteOffset, destination);
        return true;
    }
}
