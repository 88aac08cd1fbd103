using VDiskCrypt.Interop.Shims;

namespace VDiskCrypt.Crypto;

/// <summary>
/// AES-XTS by VAES, 256 or 512 bits at a time, in a small C library, since .NET's intrinsics end at AES-NI. Whole units
/// of a multiple of 512 bytes go there; parts of units stay with the AES-NI kernel.
/// </summary>
internal sealed class VaesXtsKernel(int width) : AesXtsKernel
{
    private static readonly AesNiXtsKernel Narrow = new();

    public override string Name => $"vaes{width}";

    public override bool IsSupported => Narrow.IsSupported && (width == 512 ? AesXtsShim.Has512 : AesXtsShim.Has256);

    public override AesXtsTransform Create(ReadOnlySpan<byte> key) => new Transform(new XtsRoundKeys(key), width);

    /// <remarks>
    /// Unsafe code: native calls with pointers into the round keys (alive until Dispose) and into buffers whose bounds the
    /// caller has checked. The calls are short and take no locks.
    /// </remarks>
    private sealed unsafe class Transform : AesXtsTransform
    {
        private const int UnitMultiple = 512;

        private readonly XtsRoundKeys _keys;
        private readonly AesXtsTransform _narrow;
        private readonly delegate* unmanaged<byte*, byte*, int, ulong, ulong, nuint, byte*, byte*, nuint, void> _encrypt;
        private readonly delegate* unmanaged<byte*, byte*, int, ulong, ulong, nuint, byte*, byte*, nuint, void> _decrypt;

        public Transform(XtsRoundKeys keys, int width)
        {
            _keys = keys;
            _narrow = AesNiXtsKernel.Create(keys);
            _encrypt = AesXtsShim.Kernel(encrypt: true, width);
            _decrypt = AesXtsShim.Kernel(encrypt: false, width);
        }

        public override void TransformUnits(
            bool encrypt, ulong firstUnitNumber, ulong unitNumberStep, int unitByteSize,
            byte* source, byte* destination, nuint unitCount)
        {
            if (unitByteSize % UnitMultiple != 0)
            {
                _narrow.TransformUnits(encrypt, firstUnitNumber, unitNumberStep, unitByteSize, source, destination, unitCount);
            }
            else if (encrypt)
            {
                _encrypt(_keys.Encryption, _keys.Tweak, _keys.RoundCount, firstUnitNumber, unitNumberStep, (nuint)unitByteSize,
                    source, destination, unitCount * (nuint)unitByteSize);
            }
            else
            {
                _decrypt(_keys.Decryption, _keys.Tweak, _keys.RoundCount, firstUnitNumber, unitNumberStep, (nuint)unitByteSize,
                    source, destination, unitCount * (nuint)unitByteSize);
            }
        }

        public override void TransformBlocks(
            bool encrypt, UInt128 unitNumber, int firstBlockIndex, byte* source, byte* destination, nuint blockCount) =>
            _narrow.TransformBlocks(encrypt, unitNumber, firstBlockIndex, source, destination, blockCount);

        /// <summary>The narrow transform shares the round keys and disposes them.</summary>
        public override void Dispose() => _narrow.Dispose();
    }
}
