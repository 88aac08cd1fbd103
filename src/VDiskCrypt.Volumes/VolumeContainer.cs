using VDiskCrypt.Core;
using VDiskCrypt.Images;
using VDiskCrypt.Keys;
using VDiskCrypt.Luks;

namespace VDiskCrypt.Volumes;

/// <summary>An opened image with the place of one LUKS2 volume in it, still locked: header read, no key.</summary>
public sealed partial class VolumeContainer : IDisposable
{
    private readonly DiskImage _image;
    private readonly VolumeAccess _access;
    private readonly string _knownVolumesFolder;
    private readonly List<string> _notices;

    private VolumeContainer(
        ImageReference reference, DiskImage image, IBlockDevice device, LuksHeader header, VolumeAccess access, string knownVolumesFolder,
        List<string> notices)
    {
        Reference = reference;
        _image = image;
        Device = device;
        Header = header;
        _access = access;
        _knownVolumesFolder = knownVolumesFolder;
        _notices = notices;
    }

    public ImageReference Reference { get; }

    /// <summary>Where header and ciphertext lie: the image's disk or one partition of it.</summary>
    public IBlockDevice Device { get; }

    public LuksHeader Header { get; }

    public string Uuid => Header.Uuid;

    /// <summary>What the user should know of how it was opened.</summary>
    public IReadOnlyList<string> Notices => _notices;

    /// <param name="reference">The image and the partition.</param>
    /// <param name="access">Decides the locks.</param>
    /// <param name="knownVolumesFolder">Where it is remembered which volumes have an authenticated header.</param>
    /// <exception cref="VDiskException">
    /// NotFound, NotPermitted, InUse, Damaged, Unsupported; Usage when there are several volumes and none was named.
    /// </exception>
    public static VolumeContainer Open(ImageReference reference, VolumeAccess access, string knownVolumesFolder)
    {
        DiskImage image = ImageFormats.Open(
            reference.Path, access == VolumeAccess.ReadWrite ? ImageAccess.ReadWrite : ImageAccess.ReadOnly);
        List<string> notices = [.. image.Notices];
        try
        {
            IBlockDevice device = Place(image, reference, notices);
            var header = LuksHeader.Read(device, new ImageHeaderLock(image.File));
            return new VolumeContainer(reference, image, device, header, access, knownVolumesFolder, notices);
        }
        catch (VDiskException failure)
        {
            image.Dispose();
            throw failure.Within(reference.ToString());
        }
    }

    /// <summary>Changes of the keyslots and tokens; the volume key must have been verified.</summary>
    public KeyEditor EditKeys(SecretMemory volumeKey, KekProviders providers, string backupFolder) =>
        new(Header, Device, new ImageHeaderLock(_image.File), volumeKey, providers, backupFolder);

    /// <summary>Destroys all that opens the volume; see <see cref="LuksHeader.Erase"/>. Needs no secret.</summary>
    /// <returns>The header backups in the folder, which still open it.</returns>
    public string[] Erase(string backupFolder)
    {
        string[] backups = HeaderBackup.Find(Header, backupFolder);
        Header.Erase();
        return backups;
    }

    public void Dispose() => _image.Dispose();

    /// <summary>The named partition; else the whole disk when LUKS2 starts there; else the only partition with a volume.</summary>
    private static IBlockDevice Place(IBlockDevice disk, ImageReference reference, List<string> notices)
    {
        if (reference.Partition is null && LuksHeader.IsPresent(disk))
        {
            return disk;
        }

        PartitionTable? table = PartitionTable.TryRead(disk);
        notices.AddRange(table?.Notices ?? []);
        if (reference.Partition is { } wanted)
        {
            return new PartitionDevice(disk, table?.Find(wanted)
                ?? throw new VDiskException(FailureKind.NotFound, $"there is no partition {wanted}: the disk has no partition table"));
        }

        IReadOnlyList<Partition> partitions = table?.Partitions ?? [];
        List<Partition> volumes = [.. partitions.Where(partition => LuksHeader.IsPresent(new PartitionDevice(disk, partition)))];
        return volumes.Count switch
        {
            1 => new PartitionDevice(disk, volumes[0]),
            0 when partitions.Count == 1 => new PartitionDevice(disk, partitions[0]),
            0 => disk,
            _ => throw new VDiskException(FailureKind.Usage, $"the image has {volumes.Count} encrypted volumes", "partition table",
                $"name one, as in IMAGE#{volumes[0].Number}"),
        };
    }
}
