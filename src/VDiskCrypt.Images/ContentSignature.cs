using System.Buffers.Binary;
using VDiskCrypt.Core;

namespace VDiskCrypt.Images;

/// <summary>The signatures that tell formats apart.</summary>
internal static class ContentSignature
{
    private const int HeadByteSize = 64 << 10;
    private const int IsoDescriptorOffset = 32 << 10;

    /// <summary>Where the second LUKS2 header may be: it follows the first, of 16 KiB to 4 MiB (on-disk format 2.0, table 1).</summary>
    private const int SmallestLuks2HeaderByteSize = 16 << 10;

    private const int LargestLuks2HeaderByteSize = 4 << 20;

    public delegate void ReadBytes(long byteOffset, Span<byte> destination);

    /// <summary>The name of an image format that is known and not handled; null where it is none.</summary>
    public static string? ForeignFormat(IHostFile file)
    {
        Span<byte> head = stackalloc byte[512];
        if (file.ByteLength < head.Length)
        {
            return null;
        }

        file.Read(0, head);
        if (head.StartsWith("QFI"u8) && head[3] == 0xFB)
        {
            return "qcow2";
        }

        if (head.StartsWith("KDMV"u8) || head.StartsWith("COWD"u8) || head.StartsWith("# Disk DescriptorFile"u8))
        {
            return "VMDK";
        }

        return BinaryPrimitives.ReadUInt32LittleEndian(head[0x40..]) == 0xBEDA_107F ? "VDI" : null;
    }

    public static DiskContent Detect(ReadBytes read, long byteLength)
    {
        byte[] head = new byte[(int)Math.Min(HeadByteSize, byteLength)];
        if (head.Length < 512)
        {
            return DiskContent.Unknown;
        }

        read(0, head);
        if (head.AsSpan().StartsWith((ReadOnlySpan<byte>)[(byte)'L', (byte)'U', (byte)'K', (byte)'S', 0xBA, 0xBE]))
        {
            return BinaryPrimitives.ReadUInt16BigEndian(head.AsSpan(6)) switch
            {
                1 => DiskContent.Luks1,
                2 => DiskContent.Luks2,
                _ => DiskContent.Unknown,
            };
        }

        if (head.AsSpan(3, 8).SequenceEqual("-FVE-FS-"u8))
        {
            return DiskContent.BitLocker;
        }

        foreach (int sectorByteSize in (ReadOnlySpan<int>)[512, 4096])
        {
            if (head.Length >= 2 * sectorByteSize && GptHeader.HasSignature(head.AsSpan(sectorByteSize)))
            {
                return DiskContent.Gpt;
            }
        }

        switch (MbrReader.Look(head))
        {
            case MbrReader.Verdict.Protective:
                return DiskContent.Gpt;
            case MbrReader.Verdict.Partitions:
                return DiskContent.Mbr;
        }

        if (head.Length >= IsoDescriptorOffset + 6 && head.AsSpan(IsoDescriptorOffset + 1, 5).SequenceEqual("CD001"u8))
        {
            return DiskContent.Iso9660;
        }

        if (HasSecondLuks2Header(read, byteLength))
        {
            return DiskContent.Luks2;
        }

        return head.AsSpan().ContainsAnyExcept((byte)0) ? DiskContent.Unknown : DiskContent.Empty;
    }

    /// <summary>A volume whose first header was overwritten is still one: the second opens it.</summary>
    private static bool HasSecondLuks2Header(ReadBytes read, long byteLength)
    {
        Span<byte> magic = stackalloc byte[6];
        for (long offset = SmallestLuks2HeaderByteSize; offset <= LargestLuks2HeaderByteSize; offset *= 2)
        {
            if (offset > byteLength - magic.Length)
            {
                return false;
            }

            read(offset, magic);
            if (magic.SequenceEqual((ReadOnlySpan<byte>)[(byte)'S', (byte)'K', (byte)'U', (byte)'L', 0xBA, 0xBE]))
            {
                return true;
            }
        }

        return false;
    }
}
