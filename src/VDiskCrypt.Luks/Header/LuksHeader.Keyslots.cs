using System.Security.Cryptography;
using VDiskCrypt.Core;

namespace VDiskCrypt.Luks;

public sealed partial class LuksHeader
{
    /// <summary>
    /// Tries the keyslots of the data segment, preferred ones first, and returns the verified volume key.
    /// </summary>
    /// <param name="passphrase">The bytes of a passphrase or key file.</param>
    /// <param name="keyslot">Only this keyslot; one with priority "ignore" is tried only so.</param>
    /// <exception cref="VDiskException">
    /// WrongCredential: none opens. NotFound: no such keyslot, or none at all. NoSpace: a keyslot's key derivation needs
    /// more memory than there is. Unsupported: no keyslot is of a kind that this program knows.
    /// </exception>
    public LuksUnlock Unlock(ReadOnlySpan<byte> passphrase, int? keyslot = null)
    {
        VDiskException? obstacle = null;
        int tried = 0;
        foreach (LuksKeyslot candidate in CandidateKeyslots(keyslot))
        {
            if (candidate.UnsupportedReason is string reason)
            {
                obstacle ??= VDiskException.Unsupported(
                    $"LUKS2 header, keyslot {candidate.Number}", $"the keyslot cannot be opened: {reason}", "open it with cryptsetup");
                continue;
            }

            try
            {
                tried++;
                if (TryOpen(candidate, passphrase) is SecretMemory volumeKey)
                {
                    return new LuksUnlock(volumeKey, candidate.Number);
                }
            }
            catch (VDiskException e) when (e.Kind is FailureKind.NoSpace)
            {
                // Another keyslot may ask for less.
                obstacle = e.Within($"keyslot {candidate.Number}");
            }
        }

        if (obstacle is not null && (tried == 0 || obstacle.Kind == FailureKind.NoSpace))
        {
            throw obstacle;
        }

        throw new VDiskException(
            FailureKind.WrongCredential, "no keyslot opens with this passphrase or key file",
            keyslot is null ? $"LUKS2 volume {Uuid}" : $"LUKS2 volume {Uuid}, keyslot {keyslot}", "try another one");
    }

    /// <summary>Whether a key is the volume key of the data segment, in fixed time.</summary>
    /// <exception cref="VDiskException">Unsupported: a digest that this program cannot compute.</exception>
    public bool IsVolumeKey(SecretMemory key)
    {
        LuksDigest digest = DataDigest;
        if (digest.Hash is null)
        {
            throw VDiskException.Unsupported(
                $"LUKS2 header, digest {digest.Number}", "the digest cannot be computed", "open the volume with cryptsetup");
        }

        Span<byte> computed = stackalloc byte[digest.Value.Length];
        Crypto.Pbkdf2.Derive(digest.Hash.Value, key.Span, digest.Salt, digest.Iterations, computed);
        return CryptographicOperations.FixedTimeEquals(computed, digest.Value);
    }

    /// <summary>Adds a keyslot that opens with a passphrase. The volume key is verified first.</summary>
    /// <returns>Its number.</returns>
    public int AddKeyslot(SecretMemory volumeKey, ReadOnlySpan<byte> passphrase, LuksKdf kdf)
    {
        LuksHeaderEdit edit = BeginEdit();
        int number = edit.AddKeyslot(volumeKey, passphrase, kdf);
        Commit(edit);
        return number;
    }

    /// <summary>Overwrites a keyslot's area and removes it from the header, its digests and tokens.</summary>
    /// <param name="number">The keyslot.</param>
    /// <param name="allowLast">Without it the last keyslot stays: removing it makes the volume unreadable for ever.</param>
    public void RemoveKeyslot(int number, bool allowLast = false) => Update(edit => edit.RemoveKeyslot(number, allowLast));

    private IEnumerable<LuksKeyslot> CandidateKeyslots(int? asked)
    {
        LuksDigest digest = DataDigest;
        if (asked is int number)
        {
            LuksKeyslot keyslot = Keyslots.FirstOrDefault(candidate => candidate.Number == number)
                ?? throw new VDiskException(FailureKind.NotFound, $"there is no keyslot {number}", $"LUKS2 volume {Uuid}");
            return digest.Keyslots.Contains(number)
                ? [keyslot]
                : throw new VDiskException(
                    FailureKind.NotFound, $"keyslot {number} does not belong to the data of the volume", $"LUKS2 volume {Uuid}");
        }

        List<LuksKeyslot> candidates = [.. Keyslots
            .Where(keyslot => keyslot.Priority != LuksKeyslotPriority.Ignore && digest.Keyslots.Contains(keyslot.Number))
            .OrderByDescending(keyslot => keyslot.Priority)
            .ThenBy(keyslot => keyslot.Number)];
        return candidates.Count > 0
            ? candidates
            : throw new VDiskException(
                FailureKind.NotFound, "the volume has no keyslot", $"LUKS2 volume {Uuid}", "restore the header from a backup");
    }

    private SecretMemory? TryOpen(LuksKeyslot keyslot, ReadOnlySpan<byte> passphrase)
    {
        var material = new byte[KeyslotArea.MaterialByteCount(keyslot.KeyByteCount)];
        using (_lock.AcquireShared())
        {
            _device.Read(keyslot.AreaByteOffset, material);
        }

        using var areaKey = new SecretMemory(keyslot.AreaKeyByteCount);
        keyslot.Kdf!.Derive(passphrase, keyslot.Salt, areaKey.Span);
        SecretMemory volumeKey = KeyslotArea.Decrypt(areaKey, keyslot.SplitterHash!.Value, material, keyslot.KeyByteCount);
        bool found = false;
        try
        {
            found = IsVolumeKey(volumeKey);
            return found ? volumeKey : null;
        }
        finally
        {
            if (!found)
            {
                volumeKey.Dispose();
            }
        }
    }
}
