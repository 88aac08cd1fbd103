using VDiskCrypt.Core;
using VDiskCrypt.Images;
using VDiskCrypt.Luks;

namespace VDiskCrypt.Volumes;

/// <summary>An image looked at without a secret and without changing it: format, partitions, headers.</summary>
public sealed class ImageInspection : IDisposable
{
    private readonly DiskImage _image;

    private ImageInspection(DiskImage image, IReadOnlyList<Partition> partitions)
    {
        _image = image;
        Partitions = partitions;
    }

    public string Format => ImageFormatNames.Of(_image.Format);

    /// <summary>Size of the virtual disk.</summary>
    public long ByteLength => _image.ByteLength;

    public IReadOnlyList<Partition> Partitions { get; }

    /// <summary>Each LUKS2 volume with the number of its partition, null for the whole disk.</summary>
    public List<(int? Partition, LuksHeader Header)> Volumes { get; } = [];

    public List<string> Notices { get; } = [];

    /// <exception cref="VDiskException">As the image says; when it holds no volume, what it holds instead.</exception>
    public static ImageInspection Open(ImageReference reference)
    {
        DiskImage image = ImageFormats.Open(reference.Path, ImageAccess.Inspect);
        try
        {
            var headerLock = new ImageHeaderLock(image.File);
            if (LuksHeader.IsPresent(image))
            {
                var whole = new ImageInspection(image, []);
                whole.Add(null, LuksHeader.Read(image, headerLock));
                return whole;
            }

            PartitionTable? table = PartitionTable.TryRead(image);
            var inspection = new ImageInspection(image, table?.Partitions ?? []);
            inspection.Notices.AddRange(image.Notices);
            inspection.Notices.AddRange(table?.Notices ?? []);
            foreach (Partition partition in inspection.Partitions)
            {
                var device = new PartitionDevice(image, partition);
                if ((reference.Partition is null || reference.Partition == partition.Number) && LuksHeader.IsPresent(device))
                {
                    inspection.Add(partition.Number, LuksHeader.Read(device, headerLock));
                }
            }

            if (inspection.Volumes.Count == 0)
            {
                // Its reading fails and says what the disk holds instead.
                LuksHeader.Read(inspection.Partitions.Count == 1 ? new PartitionDevice(image, inspection.Partitions[0]) : image, headerLock);
            }

            return inspection;
        }
        catch (VDiskException failure)
        {
            image.Dispose();
            throw failure.Within(reference.ToString());
        }
    }

    public void Dispose() => _image.Dispose();

    private void Add(int? partition, LuksHeader header)
    {
        Volumes.Add((partition, header));
        if (header.NeedsRepair)
        {
            Notices.Add("one copy of the LUKS2 header is damaged; the other was read");
        }
    }
}
