using VDiskCrypt.Core;

namespace VDiskCrypt.Volumes;

/// <summary>A volume that was just made, with the keys that exist only now.</summary>
public sealed class CreatedVolume : IDisposable
{
    public required string Path { get; init; }

    public required string Format { get; init; }

    /// <summary>Size of the virtual disk.</summary>
    public required long ByteCount { get; init; }

    public required string Uuid { get; init; }

    public required SecretMemory VolumeKey { get; init; }

    /// <summary>ASCII; null where none was wanted.</summary>
    public required SecretMemory? RecoveryKey { get; init; }

    public required IReadOnlyList<string> Notices { get; init; }

    public void Dispose()
    {
        VolumeKey.Dispose();
        RecoveryKey?.Dispose();
    }
}
