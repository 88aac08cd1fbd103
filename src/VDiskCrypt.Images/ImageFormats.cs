using System.Buffers.Binary;
using VDiskCrypt.Core;
using VDiskCrypt.Images.Vhd;
using VDiskCrypt.Images.Vhdx;

namespace VDiskCrypt.Images;

/// <summary>Recognises, opens and makes image files of every format.</summary>
public static class ImageFormats
{
    private const int SectorByteSize = 512;
    private const long Mebibyte = 1 << 20;

    /// <summary>What the file is, by its contents. Looks at a few sectors; checks nothing else.</summary>
    public static DetectedFormat Detect(IHostFile file)
    {
        if (VhdxImage.IsVhdx(file))
        {
            return new DetectedFormat(ImageFormat.VhdxDynamic, "VHDX", DiskContent.Unknown);
        }

        if (VhdFooterPair.TryRead(file, []) is VhdFooterPair vhd)
        {
            return vhd.Footer.Type == VhdType.Fixed
                ? new DetectedFormat(ImageFormat.VhdFixed, "fixed VHD", DiskContent.Unknown)
                : new DetectedFormat(ImageFormat.VhdDynamic, "dynamic VHD", DiskContent.Unknown);
        }

        if (ContentSignature.ForeignFormat(file) is string foreign)
        {
            return new DetectedFormat(ImageFormat.Foreign, foreign, DiskContent.Unknown);
        }

        return new DetectedFormat(ImageFormat.Raw, "raw", ContentSignature.Detect(file.Read, file.ByteLength));
    }

    /// <summary>What a disk or partition holds, by its first bytes.</summary>
    public static DiskContent DetectContent(IBlockDevice device) => ContentSignature.Detect(device.Read, device.ByteLength);

    /// <summary>Opens an image and locks it: readers share it, a writer has it alone.</summary>
    /// <param name="path">An image file, or a block device.</param>
    /// <param name="access">What for.</param>
    /// <param name="expected">
    /// Refuses anything else, and takes a file as raw whatever it begins with; null goes by the contents. Fixed and
    /// dynamic VHDX stand for each other, as do fixed and dynamic VHD.
    /// </param>
    public static DiskImage Open(string path, ImageAccess access, ImageFormat? expected = null)
    {
        HostFile file = HostFile.Open(path, access == ImageAccess.ReadWrite ? HostFileMode.ReadWrite : HostFileMode.ReadOnly);
        return Guarded(file, access != ImageAccess.Inspect, imageLock => OpenCore(file, imageLock, expected));
    }

    /// <summary>
    /// Makes an image, sparse where the host can, and opens it for writing. Sizes are rounded up to what the format
    /// can say: whole sectors. The file must not exist; after a failure it does not either.
    /// </summary>
    public static DiskImage Create(string path, ImageFormat format, long byteLength, ImageCreateOptions? options = null)
    {
        options ??= new ImageCreateOptions();
        long diskByteSize = RoundedSize(format, byteLength, options);
        HostFile file = HostFile.Open(path, HostFileMode.CreateNew);
        try
        {
            return Guarded(file, locks: true, imageLock =>
            {
                CreateCore(file, format, diskByteSize, options);
                HostFile.FsyncDirectory(path);
                return OpenCore(file, imageLock, format);
            });
        }
        catch
        {
            System.IO.File.Delete(path);
            throw;
        }
    }

    private static DiskImage OpenCore(HostFile file, ImageLock imageLock, ImageFormat? expected)
    {
        var notices = new List<string>();
        if (!imageLock.IsHeld)
        {
            notices.Add("the host's filesystem has no file locks: nothing keeps another process from this image");
        }

        bool anything = expected is null;
        if ((anything || expected is ImageFormat.VhdxFixed or ImageFormat.VhdxDynamic) && (!anything || VhdxImage.IsVhdx(file)))
        {
            VhdxImage vhdx = VhdxImage.Open(file);
            notices.AddRange(vhdx.Notices);
            return new DiskImage(vhdx, file, imageLock, vhdx.IsFixed ? ImageFormat.VhdxFixed : ImageFormat.VhdxDynamic, notices);
        }

        if (anything || expected is ImageFormat.VhdFixed or ImageFormat.VhdDynamic)
        {
            if (VhdFile.TryOpen(file, notices, out bool isFixed) is IBlockDevice vhd)
            {
                return new DiskImage(vhd, file, imageLock, isFixed ? ImageFormat.VhdFixed : ImageFormat.VhdDynamic, notices);
            }

            if (!anything)
            {
                throw VDiskException.Damaged("VHD footer", Math.Max(0, file.ByteLength - SectorByteSize), "there is none");
            }
        }

        if (expected == ImageFormat.Foreign || (anything && ContentSignature.ForeignFormat(file) is not null))
        {
            throw VDiskException.Unsupported(
                "image file", $"the format is {ContentSignature.ForeignFormat(file) ?? "unknown"}", "convert it: qemu-img convert -O vhdx");
        }

        long usable = file.ByteLength / SectorByteSize * SectorByteSize;
        if (usable != file.ByteLength)
        {
            notices.Add($"the last {file.ByteLength - usable} bytes of the file are no whole sector and are left out");
        }

        return new DiskImage(new RawImage(file, usable, file.SectorByteSize), file, imageLock, ImageFormat.Raw, notices);
    }

    private static long RoundedSize(ImageFormat format, long byteLength, ImageCreateOptions options)
    {
        if (byteLength <= 0)
        {
            throw new VDiskException(FailureKind.Usage, $"a disk of {byteLength} bytes cannot be");
        }

        bool isVhdx = format is ImageFormat.VhdxFixed or ImageFormat.VhdxDynamic;
        long unit = options.RoundsToMebibytes ? Mebibyte : isVhdx ? Math.Max(SectorByteSize, options.SectorByteSize) : SectorByteSize;
        return byteLength > long.MaxValue - unit
            ? throw new VDiskException(FailureKind.Usage, $"a disk of {byteLength} bytes cannot be")
            : (byteLength + unit - 1) / unit * unit;
    }

    private static void CreateCore(HostFile file, ImageFormat format, long diskByteSize, ImageCreateOptions options)
    {
        switch (format)
        {
            case ImageFormat.Raw:
                file.SetLength(diskByteSize);
                break;
            case ImageFormat.VhdFixed:
                VhdFile.CreateFixed(file, diskByteSize);
                break;
            case ImageFormat.VhdDynamic:
                VhdFile.CreateDynamic(file, diskByteSize);
                break;
            case ImageFormat.VhdxFixed or ImageFormat.VhdxDynamic:
                VhdxImage.Create(
                    file, diskByteSize, format == ImageFormat.VhdxFixed, options.BlockByteSize, options.SectorByteSize);
                break;
            default:
                throw new VDiskException(FailureKind.Usage, "images of a foreign format are not made here");
        }

        if (options.AllocatesSpace && format is ImageFormat.Raw or ImageFormat.VhdFixed or ImageFormat.VhdxFixed)
        {
            file.Allocate(0, file.ByteLength);
        }

        file.Flush();
    }

    /// <summary>Locks the file, runs the action, and closes the file where it fails, with the file's name put into the failure.</summary>
    private static DiskImage Guarded(HostFile file, bool locks, Func<ImageLock, DiskImage> open)
    {
        try
        {
            return open(locks ? ImageLock.Acquire(file) : ImageLock.None(file));
        }
        catch (VDiskException failure)
        {
            file.Dispose();
            throw failure.Where?.Contains(file.Name, StringComparison.Ordinal) == true ? failure : failure.Within(file.Name);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }
}
