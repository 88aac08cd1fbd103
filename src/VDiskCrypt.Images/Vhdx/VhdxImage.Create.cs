using System.Buffers.Binary;
using System.Numerics;
using System.Text;
using VDiskCrypt.Core;

namespace VDiskCrypt.Images.Vhdx;

/// <summary>
/// Making an image. Layout: header section, log at 1 MiB, metadata at 2 MiB, BAT at 3 MiB, blocks behind it.
/// </summary>
internal sealed partial class VhdxImage
{
    private const string Creator = "VDiskCrypt";
    private const long LogOffset = 1 * VhdxFormat.Mebibyte;
    private const long MetadataOffset = 2 * VhdxFormat.Mebibyte;
    private const long BatOffset = 3 * VhdxFormat.Mebibyte;

    /// <summary>The smallest block that is used unasked: sequential writing costs one allocation for each.</summary>
    private const int DefaultBlockByteSize = 2 * VhdxFormat.Mebibyte;

    /// <summary>From here on the default block grows with the disk, so that the table stays within 16 MiB.</summary>
    private const long LargestDefaultBlockCount = 2 << 20;

    /// <summary>Writes a new image into the empty <paramref name="file"/>; durable on return, but for the file's name.</summary>
    /// <param name="file">The file, of length 0.</param>
    /// <param name="diskByteSize">The size of the virtual disk, a multiple of the sector size.</param>
    /// <param name="isFixed">All blocks have their place from the start (sparse where the host can).</param>
    /// <param name="blockByteSize">A power of two from 1 MiB to 256 MiB; 0 chooses by the size.</param>
    /// <param name="sectorByteSize">The logical sector size, 512 or 4096.</param>
    public static void Create(
        IHostFile file, long diskByteSize, bool isFixed, int blockByteSize = 0, int sectorByteSize = 512)
    {
        VhdxMetadata metadata = ChooseParameters(diskByteSize, isFixed, blockByteSize, sectorByteSize);
        long batByteSize = RoundUp(metadata.BatEntryCount * sizeof(ulong), VhdxFormat.Mebibyte);
        long dataOffset = BatOffset + batByteSize;
        file.SetLength(isFixed ? dataOffset + (long)metadata.PayloadBlockCount * metadata.BlockByteSize : dataOffset);

        byte[] identifier = new byte[VhdxFormat.HeaderByteSize];
        BinaryPrimitives.WriteUInt64LittleEndian(identifier, VhdxFormat.FileSignature);
        Encoding.Unicode.GetBytes(Creator, identifier.AsSpan(8));
        file.Write(0, identifier);

        var header = new VhdxHeader
        {
            FileWriteId = NewId(),
            DataWriteId = NewId(),
            LogOffset = LogOffset,
            LogByteSize = VhdxFormat.DefaultLogByteSize,
        };
        byte[] headerBytes = new byte[VhdxFormat.HeaderByteSize];
        header.WriteTo(headerBytes);
        file.Write(VhdxFormat.FirstHeaderOffset, headerBytes);
        (header with { SequenceNumber = 1 }).WriteTo(headerBytes);
        file.Write(VhdxFormat.SecondHeaderOffset, headerBytes);

        byte[] table = new byte[VhdxFormat.RegionTableByteSize];
        VhdxRegionTable.Write(
            table,
            [
                new(VhdxFormat.BatRegion, BatOffset, batByteSize, true),
                new(VhdxFormat.MetadataRegion, MetadataOffset, VhdxFormat.Mebibyte, true),
            ]);
        file.Write(VhdxFormat.FirstRegionTableOffset, table);
        file.Write(VhdxFormat.SecondRegionTableOffset, table);

        byte[] metadataRegion = new byte[VhdxFormat.Mebibyte];
        metadata.WriteTo(metadataRegion);
        file.Write(MetadataOffset, metadataRegion);
        if (isFixed)
        {
            WriteFullTable(file, metadata, dataOffset);
        }

        file.Flush();
    }

    private static VhdxMetadata ChooseParameters(long diskByteSize, bool isFixed, int blockByteSize, int sectorByteSize)
    {
        if (sectorByteSize is not (512 or 4096))
        {
            throw new VDiskException(FailureKind.Usage, $"a VHDX has sectors of 512 or 4096 bytes, not {sectorByteSize}");
        }

        if (diskByteSize <= 0 || diskByteSize > VhdxFormat.LargestDiskByteSize || diskByteSize % sectorByteSize != 0)
        {
            throw new VDiskException(
                FailureKind.Usage, $"a VHDX of {diskByteSize} bytes cannot be: a multiple of {sectorByteSize} up to 64 TiB is needed");
        }

        if (blockByteSize == 0)
        {
            blockByteSize = DefaultBlockByteSize;
            while (diskByteSize / blockByteSize > LargestDefaultBlockCount)
            {
                blockByteSize *= 2;
            }
        }

        if (!BitOperations.IsPow2(blockByteSize) ||
            blockByteSize is < VhdxFormat.SmallestBlockByteSize or > VhdxFormat.LargestBlockByteSize ||
            diskByteSize / blockByteSize >= VhdxFormat.LargestBatEntryCount)
        {
            throw new VDiskException(
                FailureKind.Usage, $"a block size of {blockByteSize} bytes does not suit a VHDX of {diskByteSize} bytes");
        }

        return new VhdxMetadata
        {
            DiskByteSize = diskByteSize,
            BlockByteSize = blockByteSize,
            LogicalSectorByteSize = sectorByteSize,
            LeavesBlocksAllocated = isFixed,
            DiskId = NewId(),
        };
    }

    private static void WriteFullTable(IHostFile file, VhdxMetadata metadata, long dataOffset)
    {
        byte[] table = new byte[metadata.BatEntryCount * sizeof(ulong)];
        for (int block = 0; block < metadata.PayloadBlockCount; block++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(
                table.AsSpan((int)(block + block / metadata.ChunkRatio) * sizeof(ulong)),
                VhdxBat.MakeEntry(PayloadBlockState.FullyPresent, dataOffset));
            dataOffset += metadata.BlockByteSize;
        }

        file.Write(BatOffset, table);
    }

    private static long RoundUp(long value, long unit) => (value + unit - 1) / unit * unit;
}
