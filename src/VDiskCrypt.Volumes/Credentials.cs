using VDiskCrypt.Core;
using VDiskCrypt.Keys;

namespace VDiskCrypt.Volumes;

/// <summary>
/// What a volume may be unlocked with. Secrets (passphrases, key files, recovery keys) that the user named are tried,
/// and then nothing else; where none is named, the KEKs that the header's tokens name are tried in their order, then
/// the user is asked.
/// </summary>
public sealed class Credentials(IReadOnlyList<SecretMemory> secrets, KekProviders providers) : IDisposable
{
    public IReadOnlyList<SecretMemory> Secrets { get; } = secrets;

    public KekProviders Providers { get; } = providers;

    /// <summary>Asks the user for a passphrase; null where nobody can be asked.</summary>
    public Func<SecretMemory>? Ask { get; init; }

    /// <summary>How long all KEK stores together may take.</summary>
    public TimeSpan KekDeadline { get; init; } = TimeSpan.FromSeconds(60);

    public void Dispose()
    {
        foreach (SecretMemory secret in Secrets)
        {
            secret.Dispose();
        }
    }
}

/// <summary>A volume key, verified against the header's digest, and what unlocked it.</summary>
public sealed record UnlockedKey(SecretMemory VolumeKey, int Keyslot, string By) : IDisposable
{
    public void Dispose() => VolumeKey.Dispose();
}
