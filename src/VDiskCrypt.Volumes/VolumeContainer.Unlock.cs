using VDiskCrypt.Core;
using VDiskCrypt.Keys;
using VDiskCrypt.Luks;

namespace VDiskCrypt.Volumes;

public sealed partial class VolumeContainer
{
    private const int MaximumAttempts = 3;

    /// <summary>Finds a credential that fits and checks the header's authentication with the key that it opened.</summary>
    /// <exception cref="VDiskException">
    /// WrongCredential when none fits; KekRefused or KekUnreachable when only a KEK's answer was missing; Damaged when the
    /// header is not the one that its authentication code covers.
    /// </exception>
    public UnlockedKey Unlock(Credentials credentials)
    {
        UnlockedKey key = FindKey(credentials);
        try
        {
            Authenticate(key.VolumeKey);
            RepairCopies();
            return key;
        }
        catch
        {
            key.Dispose();
            throw;
        }
    }

    /// <summary>Checks the header's authentication code, or that there need not be one.</summary>
    public void Authenticate(SecretMemory volumeKey)
    {
        var known = new KnownVolumes(_knownVolumesFolder);
        if (AuthenticationToken.CodeOf(Header) is { } code)
        {
            if (!HeaderAuthentication.Verify(Header, volumeKey, code))
            {
                throw Tampered("the header was changed by somebody who does not hold the volume key: its authentication code does not fit");
            }

            known.Remember(Uuid, volumeKey);
        }
        else if (known.IsAuthenticated(Uuid, volumeKey))
        {
            throw Tampered("the header's authentication code was removed; this volume had one when it was used here before");
        }
        else if (Header.Tokens.Any(token => token.Type == HeaderAuthentication.TokenType))
        {
            throw Tampered("the header has tokens of this program and no authentication code");
        }
        else
        {
            _notices.Add("the header is not authenticated (the volume was made by another program)");
        }
    }

    private UnlockedKey FindKey(Credentials credentials)
    {
        foreach (SecretMemory secret in credentials.Secrets)
        {
            if (TryPassphrase(secret) is { } key)
            {
                return key;
            }
        }

        if (credentials.Secrets.Count > 0)
        {
            throw NothingFits("no keyslot opens with what was given", "check the passphrase or the key file");
        }

        var failures = new List<VDiskException>();
        using var deadline = new CancellationTokenSource(credentials.KekDeadline);
        foreach (LuksToken token in Header.Tokens)
        {
            if (TryKek(token, credentials.Providers, failures, deadline.Token) is { } key)
            {
                return key;
            }
        }

        return AskForKey(credentials, failures) ?? throw WithoutCredential(failures);
    }

    private UnlockedKey? AskForKey(Credentials credentials, List<VDiskException> failures)
    {
        if (credentials.Ask is null)
        {
            return null;
        }

        foreach (VDiskException failure in failures)
        {
            _notices.Add($"a KEK did not open the volume: {failure.Message} ({failure.Where})");
        }

        for (int attempt = 0; attempt < MaximumAttempts; attempt++)
        {
            using SecretMemory typed = credentials.Ask();
            if (TryPassphrase(typed) is { } key)
            {
                return key;
            }
        }

        throw NothingFits("no keyslot opens with what was typed", "check the passphrase");
    }

    /// <summary>The bytes as they are, then as a recovery key when they have the shape of one.</summary>
    private UnlockedKey? TryPassphrase(SecretMemory secret)
    {
        if (TryOpen(secret, keyslot: null, "passphrase or key file") is { } key)
        {
            return key;
        }

        using SecretMemory? recoveryKey = RecoveryKey.Canonicalize(secret.Span, out int wrongGroup);
        if (wrongGroup > 0)
        {
            throw NothingFits($"group {wrongGroup} of the recovery key has a slip", "compare that group with the paper");
        }

        return recoveryKey is null || recoveryKey.ContentEquals(secret) ? null : TryOpen(recoveryKey, keyslot: null, "recovery key");
    }

    private UnlockedKey? TryKek(LuksToken token, KekProviders providers, List<VDiskException> failures, CancellationToken cancellation)
    {
        try
        {
            if (KekToken.Parse(token.Content, token.Number) is not { } kek)
            {
                return null;
            }

            using SecretMemory secret = providers.For(KekUri.Parse(kek.Secret.KeyId)).Unwrap(kek.Secret, cancellation);
            foreach (int keyslot in kek.Keyslots)
            {
                if (TryOpen(secret, keyslot, kek.Secret.KeyId) is { } key)
                {
                    return key;
                }
            }

            failures.Add(NothingFits($"the secret of {kek.Secret.KeyId} opens no keyslot", "the header's token and keyslots do not belong together"));
        }
        catch (VDiskException failure)
        {
            failures.Add(failure);
        }

        return null;
    }

    private UnlockedKey? TryOpen(SecretMemory secret, int? keyslot, string by)
    {
        try
        {
            LuksUnlock unlock = Header.Unlock(secret.Span, keyslot);
            return new UnlockedKey(unlock.VolumeKey, unlock.Keyslot, by);
        }
        catch (VDiskException failure) when (failure.Kind is FailureKind.WrongCredential or FailureKind.NotFound)
        {
            return null;
        }
    }

    private VDiskException WithoutCredential(List<VDiskException> failures)
    {
        string details = string.Join("; ", failures.Select(failure => $"{failure.Message} ({failure.Where})"));
        VDiskException? service = failures.Find(failure => failure.Kind is FailureKind.KekRefused or FailureKind.KekUnreachable);
        if (service is not null)
        {
            return new VDiskException(service.Kind, service.Message, service.Where, service.Remedy, service);
        }

        return NothingFits(
            failures.Count > 0 ? $"no KEK opens the volume: {details}" : "no credential was given, and no KEK guards the volume",
            "use --passphrase-file FILE, --key-file FILE or the recovery key");
    }

    private VDiskException NothingFits(string what, string remedy) =>
        new(FailureKind.WrongCredential, what, Reference.ToString(), remedy);

    private VDiskException Tampered(string what) => new(FailureKind.Damaged, what, $"{Reference}, LUKS2 header, JSON tokens",
        "restore a header backup that you trust; do not use the volume until you know who changed it");

    private void RepairCopies()
    {
        if (!Header.NeedsRepair)
        {
            return;
        }

        string bad = Header.PrimaryState == HeaderCopyState.Valid ? "second" : "first";
        if (_access == VolumeAccess.ReadWrite)
        {
            Header.Repair();
            _notices.Add($"the {bad} copy of the LUKS2 header was damaged; it was repaired from the other");
        }
        else
        {
            _notices.Add($"the {bad} copy of the LUKS2 header is damaged; the other was used (a read-write open repairs it)");
        }
    }
}
