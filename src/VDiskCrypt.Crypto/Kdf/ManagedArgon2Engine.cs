using System.Security.Cryptography;
using VDiskCrypt.Core;
using KonsciousArgon2 = Konscious.Security.Cryptography.Argon2;
using KonsciousArgon2i = Konscious.Security.Cryptography.Argon2i;
using KonsciousArgon2id = Konscious.Security.Cryptography.Argon2id;

namespace VDiskCrypt.Crypto;

/// <summary>Argon2 by Konscious.Security.Cryptography, for hosts without libargon2.</summary>
/// <remarks>
/// NOTE: that library takes arrays, so the password and the result are for a moment on the managed heap, pinned where
/// they are ours and wiped at once; its work memory is not wiped. libargon2 has neither limit.
/// </remarks>
internal sealed class ManagedArgon2Engine : Argon2Engine
{
    /// <summary>The library refuses an empty password; RFC 9106 allows one.</summary>
    private const int LeastPasswordByteCount = 1;

    public override void Derive(
        in Argon2Parameters parameters, ReadOnlySpan<byte> password, ReadOnlySpan<byte> salt,
        ReadOnlySpan<byte> secret, ReadOnlySpan<byte> associatedData, Span<byte> key)
    {
        if (password.Length < LeastPasswordByteCount)
        {
            throw new VDiskException(
                FailureKind.WrongCredential, "the passphrase is empty", null, "give a passphrase, or install libargon2");
        }

        byte[] passwordArray = GC.AllocateUninitializedArray<byte>(password.Length, pinned: true);
        password.CopyTo(passwordArray);
        byte[] result = [];
        try
        {
            using KonsciousArgon2 argon2 = parameters.Variant == Argon2Variant.Argon2i
                ? new KonsciousArgon2i(passwordArray)
                : new KonsciousArgon2id(passwordArray);
            argon2.Salt = salt.ToArray();
            argon2.Iterations = parameters.Passes;
            argon2.MemorySize = parameters.MemoryKiB;
            argon2.DegreeOfParallelism = parameters.Lanes;
            argon2.KnownSecret = secret.IsEmpty ? null : secret.ToArray();
            argon2.AssociatedData = associatedData.IsEmpty ? null : associatedData.ToArray();
            result = argon2.GetBytes(key.Length);
            result.CopyTo(key);
        }
        catch (OutOfMemoryException e)
        {
            throw new VDiskException(
                FailureKind.NoSpace, $"the key derivation could not get its {parameters.MemoryKiB / 1024} MiB of memory",
                "memory of this process", "give the process more memory, or use a keyslot with a smaller memory cost", e);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(passwordArray);
            CryptographicOperations.ZeroMemory(result);
        }
    }
}
