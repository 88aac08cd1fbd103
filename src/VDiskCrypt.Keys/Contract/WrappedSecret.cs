namespace VDiskCrypt.Keys;

/// <summary>
/// A keyslot's secret as wrapped by a KEK: all that is needed to ask for it again. It is stored in the header, where an
/// attacker can change it, so providers treat each field as hostile.
/// </summary>
/// <param name="KeyId">The URI of the key with its version.</param>
/// <param name="Algorithm">The JOSE name of the wrapping algorithm (RFC 7518): A256KW, RSA-OAEP-256, ...</param>
/// <param name="Thumbprint">Base64url; tells one key from another and reveals neither.</param>
/// <param name="Ciphertext">The wrapped secret.</param>
public sealed record WrappedSecret(string KeyId, string Algorithm, string Thumbprint, ReadOnlyMemory<byte> Ciphertext);
