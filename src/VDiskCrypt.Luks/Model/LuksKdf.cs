using VDiskCrypt.Crypto;

namespace VDiskCrypt.Luks;

/// <summary>How a keyslot turns a passphrase into the key of its area (section 3.2.1).</summary>
public abstract record LuksKdf
{
    private LuksKdf()
    {
    }

    /// <summary>"pbkdf2", "argon2i" or "argon2id".</summary>
    public abstract string Type { get; }

    /// <summary>PBKDF2 with HMAC.</summary>
    public sealed record Pbkdf2(KdfHash Hash, int Iterations) : LuksKdf
    {
        public override string Type => "pbkdf2";
    }

    /// <summary>Argon2i or Argon2id.</summary>
    public sealed record Argon2(Argon2Parameters Parameters) : LuksKdf
    {
        public override string Type => Parameters.Variant == Argon2Variant.Argon2i ? "argon2i" : "argon2id";
    }

    /// <summary>The least that LUKS2 allows, for a secret that is itself random (64 bytes that a KEK wraps).</summary>
    public static LuksKdf ForRandomSecret => new Pbkdf2(KdfHash.Sha256, Crypto.Pbkdf2.LeastIterations);

    /// <summary>Argon2id as costly as this machine computes in <paramref name="targetMs"/>.</summary>
    public static LuksKdf MeasureArgon2id(int targetMs = Crypto.Argon2.DefaultTargetMs) =>
        new Argon2(Crypto.Argon2.MeasureParameters(targetMs: targetMs));

    /// <summary>PBKDF2 as costly as this machine computes in <paramref name="targetMs"/>.</summary>
    public static LuksKdf MeasurePbkdf2(int targetMs = Crypto.Argon2.DefaultTargetMs) =>
        new Pbkdf2(KdfHash.Sha256, Crypto.Pbkdf2.MeasureIterations(KdfHash.Sha256, 64, targetMs));

    internal void Derive(ReadOnlySpan<byte> passphrase, ReadOnlySpan<byte> salt, Span<byte> key)
    {
        switch (this)
        {
            case Pbkdf2 pbkdf2:
                Crypto.Pbkdf2.Derive(pbkdf2.Hash, passphrase, salt, pbkdf2.Iterations, key);
                break;
            case Argon2 argon2:
                Crypto.Argon2.Derive(argon2.Parameters, passphrase, salt, key);
                break;
        }
    }
}
