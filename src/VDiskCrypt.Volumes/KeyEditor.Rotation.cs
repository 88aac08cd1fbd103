using VDiskCrypt.Core;
using VDiskCrypt.Keys;

namespace VDiskCrypt.Volumes;

public sealed partial class KeyEditor
{
    /// <summary>Puts a new KEK, or the current version of the same one, in the place of an old one.</summary>
    /// <remarks>
    /// The order: 1. the header is backed up; 2. the new keyslot and token are written as one update; 3. they are read
    /// back and open; 4. the old keyslots and tokens go as one update. A crash between any two writes leaves a volume that
    /// the old or the new key opens; running it again finds the new token and goes on at 4. The old key is not asked for:
    /// it may be gone already.
    /// </remarks>
    /// <exception cref="VDiskException">NotFound where neither key guards the volume.</exception>
    public KekRotation Rotate(KekUri oldKey, KekUri newKey, bool planOnly, CancellationToken cancellation)
    {
        WrappedSecret? probe = Probe(newKey, cancellation);
        List<(int Number, KekToken Kek)> all = KeksOf(_header);
        List<(int Number, KekToken Kek)> current = [.. all.Where(entry => probe is not null && IsSameKey(entry.Kek, probe)
            && Opens(_header, entry.Kek, cancellation))];
        List<(int Number, KekToken Kek)> old = [.. all.Where(entry => IsOf(entry.Kek, oldKey) && !(probe is not null && IsSameKey(entry.Kek, probe)))];
        bool adds = current.Count == 0;
        if (old.Count == 0 && adds)
        {
            throw new VDiskException(FailureKind.NotFound, $"{oldKey} does not guard the volume", $"LUKS2 volume {_header.Uuid}",
                "see `vdiskcrypt key list`");
        }

        string[] dropped = [.. old.Select(entry => entry.Kek.Secret.KeyId)];
        if (planOnly || old.Count == 0)
        {
            return new KekRotation(probe?.KeyId, adds, dropped, null);
        }

        string backup = HeaderBackup.Write(_header, _device, _backupFolder);
        string keyId = adds ? AddKek(newKey, cancellation).KeyId : probe!.KeyId;
        int[] oldTokens = [.. old.Select(entry => entry.Number)];
        Drop(OnlyNamedBy(oldTokens), oldTokens);
        return new KekRotation(keyId, adds, dropped, backup);
    }

    private static bool IsSameKey(KekToken token, WrappedSecret probe) =>
        token.Secret.KeyId == probe.KeyId && token.Secret.Thumbprint == probe.Thumbprint;

    /// <summary>What the key's current version is called; null where there is no such key yet.</summary>
    private WrappedSecret? Probe(KekUri key, CancellationToken cancellation)
    {
        using SecretMemory nothing = SecretMemory.Random(SecretByteCount);
        IKekProvider provider = _providers.For(key);
        try
        {
            return provider.Wrap(key, nothing, cancellation);
        }
        catch (VDiskException failure) when (failure.Kind == FailureKind.NotFound && provider is IKekCreation)
        {
            return null;
        }
    }

    /// <summary>A keyslot that another token guards too stays, and so does one that is gone already.</summary>
    private HashSet<int> OnlyNamedBy(int[] tokens)
    {
        List<(int Number, KekToken Kek)> all = KeksOf(_header);
        HashSet<int> keyslots = [.. all.Where(entry => tokens.Contains(entry.Number)).SelectMany(entry => entry.Kek.Keyslots)];
        keyslots.ExceptWith(all.Where(entry => !tokens.Contains(entry.Number)).SelectMany(entry => entry.Kek.Keyslots));
        keyslots.IntersectWith(_header.Keyslots.Select(keyslot => keyslot.Number));
        return keyslots;
    }
}
