namespace VDiskCrypt.Crypto;

/// <summary>One implementation of AES-XTS, for one instruction set (or for none).</summary>
internal abstract class AesXtsKernel
{
    /// <summary>What VDISKCRYPT_AES_KERNEL calls it.</summary>
    public abstract string Name { get; }

    /// <summary>Whether this processor and this host have what it needs.</summary>
    public abstract bool IsSupported { get; }

    /// <summary>Expands a key of 32 or 64 bytes: the data half, then the tweak half.</summary>
    public abstract AesXtsTransform Create(ReadOnlySpan<byte> key);
}
