using VDiskCrypt.Core;
using VDiskCrypt.Ext4;
using VDiskCrypt.Luks;

namespace VDiskCrypt.Volumes;

/// <summary>How the filesystem of a volume is opened.</summary>
public sealed record FileSystemOptions
{
    public bool ReadOnly { get; init; }

    /// <summary>Freed blocks are discarded, where the header's allow-discards flag lets them through.</summary>
    public bool Discard { get; init; }
}

/// <summary>An unlocked volume. Dispose closes from the top down: filesystem, cipher, image.</summary>
public sealed class Volume : IDisposable
{
    private readonly VolumeContainer _container;
    private readonly LuksVolumeDevice _device;
    private readonly List<string> _notices = [];
    private Ext4FileSystem? _fileSystem;

    private Volume(VolumeContainer container, LuksVolumeDevice device)
    {
        _container = container;
        _device = device;
    }

    /// <summary>The plaintext.</summary>
    public IBlockDevice Device => _device;

    public string Uuid => _container.Uuid;

    /// <summary>What the filesystem had to say when it was opened.</summary>
    public IReadOnlyList<string> Notices => _notices;

    /// <summary>Takes the container over; the key is verified against the header once more and copied in expanded form.</summary>
    public static Volume Open(VolumeContainer container, SecretMemory volumeKey) =>
        new(container, LuksVolumeDevice.Open(container.Header, volumeKey, container.Device));

    /// <exception cref="VDiskException">Unsupported or Damaged when there is no ext4 that can be used.</exception>
    public IFileSystem OpenFileSystem(FileSystemOptions options)
    {
        _fileSystem = Ext4FileSystem.Open(_device, new Ext4Options { ReadOnly = options.ReadOnly || _device.IsReadOnly, Discard = options.Discard });
        _notices.AddRange(_fileSystem.Notices);
        return _fileSystem;
    }

    /// <exception cref="VDiskException">What could not be written any more.</exception>
    public void Dispose()
    {
        try
        {
            _fileSystem?.Dispose();
        }
        finally
        {
            _device.Dispose();
            _container.Dispose();
        }
    }
}
