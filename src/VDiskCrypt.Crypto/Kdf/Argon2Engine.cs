namespace VDiskCrypt.Crypto;

/// <summary>One implementation of Argon2, parameters already checked.</summary>
internal abstract class Argon2Engine
{
    public abstract void Derive(
        in Argon2Parameters parameters, ReadOnlySpan<byte> password, ReadOnlySpan<byte> salt,
        ReadOnlySpan<byte> secret, ReadOnlySpan<byte> associatedData, Span<byte> key);
}
