using VDiskCrypt.Core;

namespace VDiskCrypt.Luks;

/// <summary>A volume key that a keyslot gave and a digest confirmed. Dispose wipes it.</summary>
public sealed class LuksUnlock : IDisposable
{
    internal LuksUnlock(SecretMemory volumeKey, int keyslot)
    {
        VolumeKey = volumeKey;
        Keyslot = keyslot;
    }

    public SecretMemory VolumeKey { get; }

    /// <summary>The number of the keyslot that opened.</summary>
    public int Keyslot { get; }

    public void Dispose() => VolumeKey.Dispose();
}
