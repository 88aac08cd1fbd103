using VDiskCrypt.Core;
using VDiskCrypt.Keys;
using VDiskCrypt.Luks;

namespace VDiskCrypt.Volumes;

/// <summary>
/// Adds and removes what opens a volume. Every step is one update of the header with its authentication code; what was
/// added is read back from the device and opened before anything is taken away.
/// </summary>
public sealed partial class KeyEditor
{
    private const int SecretByteCount = 64;

    private readonly LuksHeader _header;
    private readonly IBlockDevice _device;
    private readonly IHeaderLock _lock;
    private readonly SecretMemory _volumeKey;
    private readonly KekProviders _providers;
    private readonly string _backupFolder;

    /// <param name="header">As read from the device, authenticated, both copies valid.</param>
    /// <param name="device">Where the header lies.</param>
    /// <param name="headerLock">Its lock.</param>
    /// <param name="volumeKey">Verified; stays the caller's.</param>
    /// <param name="providers">The stores of KEKs.</param>
    /// <param name="backupFolder">Exists; gets a copy of the header before anything is removed.</param>
    public KeyEditor(
        LuksHeader header, IBlockDevice device, IHeaderLock headerLock, SecretMemory volumeKey, KekProviders providers, string backupFolder)
    {
        _header = header;
        _device = device;
        _lock = headerLock;
        _volumeKey = volumeKey;
        _providers = providers;
        _backupFolder = backupFolder;
    }

    /// <summary>The keyslots that open the data; each is a credential.</summary>
    public IReadOnlyList<int> CredentialKeyslots =>
        _header.Digests.First(digest => digest.Segments.Contains(_header.DataSegment.Number)).Keyslots;

    /// <summary>Adds a keyslot for a passphrase, key file or recovery key. Returns its number.</summary>
    public int AddSecret(SecretMemory secret, LuksKdf kdf)
    {
        int keyslot = _header.AddKeyslot(_volumeKey, secret.Span, kdf);
        using LuksUnlock unlock = ReadBack().Unlock(secret.Span, keyslot);
        RequireVolumeKey(unlock);
        return keyslot;
    }

    /// <summary>Adds a keyslot and the token of a KEK that guards it. Keys of a store that can make them are made.</summary>
    /// <returns>The number of the keyslot and the versioned id of the key.</returns>
    public (int Keyslot, string KeyId) AddKek(KekUri key, CancellationToken cancellation)
    {
        IKekProvider provider = _providers.For(key);
        (provider as IKekCreation)?.EnsureExists(key, cancellation);
        using SecretMemory secret = SecretMemory.Random(SecretByteCount);
        WrappedSecret wrapped = provider.Wrap(key, secret, cancellation);

        // Before anything is written: a key that may wrap and not unwrap would guard a keyslot that nobody opens.
        using (SecretMemory unwrapped = provider.Unwrap(wrapped, cancellation))
        {
            if (!unwrapped.ContentEquals(secret))
            {
                throw new VDiskException(FailureKind.KekRefused, "the key encryption key unwraps to something else than was wrapped", wrapped.KeyId,
                    "use another key; nothing was changed");
            }
        }

        int keyslot = -1;
        _header.Update(edit =>
        {
            keyslot = edit.AddKeyslot(_volumeKey, secret.Span, LuksKdf.ForRandomSecret);
            edit.AddToken(new KekToken([keyslot], wrapped).ToJson());
            AuthenticationToken.Seal(edit, _header, _volumeKey);
        });
        LuksHeader written = ReadBack();
        if (!KeksOf(written).Any(entry => entry.Kek.Keyslots.Contains(keyslot) && Opens(written, entry.Kek, cancellation)))
        {
            throw new VDiskException(FailureKind.InputOutput, "the new keyslot does not open with the new key; nothing was removed",
                $"LUKS2 keyslot {keyslot}", "check the medium");
        }

        return (keyslot, wrapped.KeyId);
    }

    /// <summary>Removes keyslots, and the tokens that guarded nothing else. The header is backed up first.</summary>
    /// <param name="keyslots">All must exist.</param>
    /// <param name="mayLeaveOne">Without it two credentials stay. The last one always stays.</param>
    /// <returns>The path of the header's backup.</returns>
    /// <exception cref="VDiskException">NotFound, NotPermitted; nothing was changed then.</exception>
    public string Remove(IReadOnlyCollection<int> keyslots, bool mayLeaveOne)
    {
        foreach (int number in keyslots.Where(number => _header.Keyslots.All(keyslot => keyslot.Number != number)))
        {
            throw new VDiskException(FailureKind.NotFound, $"there is no keyslot {number}", $"LUKS2 volume {_header.Uuid}",
                "see `vdiskcrypt key list`");
        }

        int left = CredentialKeyslots.Except(keyslots).Count();
        if (left == 0 || (left == 1 && !mayLeaveOne))
        {
            throw new VDiskException(FailureKind.NotPermitted,
                left == 0 ? "without this credential nobody can ever open the volume" : "only one credential would be left, and its loss would be the data's",
                $"LUKS2 volume {_header.Uuid}", left == 0 ? "add another credential first" : "add another credential first, or say --force");
        }

        string backup = HeaderBackup.Write(_header, _device, _backupFolder);
        Drop(keyslots, KeksOf(_header).Where(entry => entry.Kek.Keyslots.All(keyslots.Contains)).Select(entry => entry.Number));
        return backup;
    }

    /// <summary>The keyslots that a KEK guards, in any of its versions.</summary>
    public IReadOnlyList<int> KeyslotsOf(KekUri key) =>
        [.. KeksOf(_header).Where(entry => IsOf(entry.Kek, key)).SelectMany(entry => entry.Kek.Keyslots).Distinct()];

    private static List<(int Number, KekToken Kek)> KeksOf(LuksHeader header) =>
    [
        .. header.Tokens.Select(token => (token.Number, Kek: KekToken.Parse(token.Content, token.Number)))
            .Where(entry => entry.Kek is not null).Select(entry => (entry.Number, entry.Kek!)),
    ];

    private bool IsOf(KekToken token, KekUri key)
    {
        string keyId = token.Secret.KeyId;
        if (keyId == key.ToString())
        {
            return true;
        }

        string id = _providers.For(key).IdOf(key);
        return keyId == id || keyId.StartsWith(id + "/", StringComparison.Ordinal);
    }

    private bool Opens(LuksHeader header, KekToken token, CancellationToken cancellation)
    {
        using SecretMemory secret = _providers.For(KekUri.Parse(token.Secret.KeyId)).Unwrap(token.Secret, cancellation);
        foreach (int keyslot in token.Keyslots)
        {
            try
            {
                using LuksUnlock unlock = header.Unlock(secret.Span, keyslot);
                return unlock.VolumeKey.ContentEquals(_volumeKey);
            }
            catch (VDiskException failure) when (failure.Kind is FailureKind.WrongCredential or FailureKind.NotFound)
            {
                // Another keyslot of the token may open.
            }
        }

        return false;
    }

    private void Drop(IReadOnlyCollection<int> keyslots, IEnumerable<int> tokens) => _header.Update(edit =>
    {
        foreach (int token in tokens)
        {
            edit.RemoveToken(token);
        }

        foreach (int keyslot in keyslots)
        {
            edit.RemoveKeyslot(keyslot);
        }

        if (HeaderAuthentication.IsPresent(_header))
        {
            AuthenticationToken.Seal(edit, _header, _volumeKey);
        }
    });

    private LuksHeader ReadBack() => LuksHeader.Read(_device, _lock);

    private void RequireVolumeKey(LuksUnlock unlock)
    {
        if (!unlock.VolumeKey.ContentEquals(_volumeKey))
        {
            throw new VDiskException(FailureKind.InputOutput, "the new keyslot reads back with another key", $"LUKS2 keyslot {unlock.Keyslot}",
                "check the medium");
        }
    }
}
