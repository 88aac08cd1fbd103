using VDiskCrypt.Core;

namespace VDiskCrypt.Keys;

/// <summary>
/// A store of key encryption keys. Wrapping and unwrapping are what every store can do; what only some can do are
/// interfaces beside this one. A failure is a <see cref="VDiskException"/>: KekRefused when the store said no,
/// KekUnreachable when it did not answer, NotFound when there is no such key.
/// </summary>
public interface IKekProvider
{
    /// <summary>The scheme of the URIs that it serves.</summary>
    string Scheme { get; }

    /// <summary>The key's id as <see cref="Wrap"/> writes it, up to its version.</summary>
    string IdOf(KekUri key) => key.ToString();

    /// <summary>Wraps a secret with the current version of the key.</summary>
    WrappedSecret Wrap(KekUri key, SecretMemory secret, CancellationToken cancellation);

    /// <summary>Unwraps what <see cref="Wrap"/> made. The fields come from a header and are not to be trusted.</summary>
    SecretMemory Unwrap(WrappedSecret wrapped, CancellationToken cancellation);
}

/// <summary>A store that can make a key.</summary>
public interface IKekCreation
{
    /// <summary>Makes the key when it does not exist yet.</summary>
    /// <returns>Whether it was made by this call.</returns>
    bool EnsureExists(KekUri key, CancellationToken cancellation);
}

/// <summary>A store that keeps its keys in files of this host.</summary>
public interface IKekOnHost
{
    /// <summary>Where the key lies, so that a user can be told when it shares a disk with what it protects.</summary>
    string PathOf(KekUri key);
}
