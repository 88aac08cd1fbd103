namespace VDiskCrypt.Crypto;

/// <summary>
/// One XTS key, expanded for one kernel. Thread-safe: many calls at once. The caller has checked every argument;
/// source and destination are the same memory or do not overlap.
/// </summary>
internal abstract unsafe class AesXtsTransform : IDisposable
{
    /// <summary>
    /// Whole data units of <paramref name="unitByteSize"/> bytes (a multiple of 16), numbered
    /// <paramref name="firstUnitNumber"/>, then each <paramref name="unitNumberStep"/> more (wrapping at 2^64).
    /// </summary>
    public abstract void TransformUnits(
        bool encrypt, ulong firstUnitNumber, ulong unitNumberStep, int unitByteSize,
        byte* source, byte* destination, nuint unitCount);

    /// <summary>
    /// Whole 16-byte blocks inside one data unit, of which the first is block <paramref name="firstBlockIndex"/>.
    /// </summary>
    public abstract void TransformBlocks(
        bool encrypt, UInt128 unitNumber, int firstBlockIndex, byte* source, byte* destination, nuint blockCount);

    /// <summary>Wipes the round keys. No call may be under way.</summary>
    public abstract void Dispose();
}
