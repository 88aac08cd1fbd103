using VDiskCrypt.Core;
using VDiskCrypt.Interop.Argon2;

namespace VDiskCrypt.Crypto;

/// <summary>
/// Argon2 by libargon2. It wipes its own work memory; password and key stay where the caller has them.
/// </summary>
internal sealed unsafe class NativeArgon2Engine : Argon2Engine
{
    public override void Derive(
        in Argon2Parameters parameters, ReadOnlySpan<byte> password, ReadOnlySpan<byte> salt,
        ReadOnlySpan<byte> secret, ReadOnlySpan<byte> associatedData, Span<byte> key)
    {
        int type = parameters.Variant == Argon2Variant.Argon2i ? Argon2Native.Argon2_i : Argon2Native.Argon2_id;
        // The spans stay pinned for the call, and the library keeps no pointer to them.
        fixed (byte* passwordBytes = password, saltBytes = salt, secretBytes = secret, dataBytes = associatedData, keyBytes = key)
        {
            var context = new Argon2_Context
            {
                @out = keyBytes,
                outlen = (uint)key.Length,
                pwd = passwordBytes,
                pwdlen = (uint)password.Length,
                salt = saltBytes,
                saltlen = (uint)salt.Length,
                secret = secretBytes,
                secretlen = (uint)secret.Length,
                ad = dataBytes,
                adlen = (uint)associatedData.Length,
                t_cost = (uint)parameters.Passes,
                m_cost = (uint)parameters.MemoryKiB,
                lanes = (uint)parameters.Lanes,
                threads = (uint)parameters.Lanes,
                version = Argon2Native.ARGON2_VERSION_13,
                flags = Argon2Native.ARGON2_DEFAULT_FLAGS,
            };
            int result = Argon2Native.argon2_ctx(&context, type);
            if (result == Argon2Native.ARGON2_THREAD_FAIL)
            {
                // A limit on threads (pids.max) does not change the result, only the time.
                context.threads = 1;
                result = Argon2Native.argon2_ctx(&context, type);
            }

            Require(result, parameters);
        }
    }

    private static void Require(int result, in Argon2Parameters parameters)
    {
        switch (result)
        {
            case Argon2Native.ARGON2_OK:
                return;
            case Argon2Native.ARGON2_MEMORY_ALLOCATION_ERROR:
                throw new VDiskException(
                    FailureKind.NoSpace, $"the key derivation could not get its {parameters.MemoryKiB / 1024} MiB of memory",
                    "memory of this process", "give the process more memory, or use a keyslot with a smaller memory cost");
            default:
                throw new VDiskException(FailureKind.Internal, $"libargon2 failed with error {result}");
        }
    }
}
