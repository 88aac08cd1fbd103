using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using X86Aes = System.Runtime.Intrinsics.X86.Aes;

namespace VDiskCrypt.Crypto;

/// <summary>AES-XTS by the x86 instructions AES-NI and PCLMULQDQ, eight blocks in flight.</summary>
internal sealed class AesNiXtsKernel : AesXtsKernel
{
    public override string Name => "aesni";

    public override bool IsSupported => X86Aes.IsSupported && Pclmulqdq.IsSupported;

    public override AesXtsTransform Create(ReadOnlySpan<byte> key) => Create(new XtsRoundKeys(key));

    /// <summary>Takes the round keys over: the transform's Dispose wipes them.</summary>
    public static AesXtsTransform Create(XtsRoundKeys keys) => new Transform(keys);

    /// <summary>A direction of the cipher; a struct, so that each direction gets machine code of its own.</summary>
    private interface IDirection
    {
        static abstract Vector128<byte> Round(Vector128<byte> state, Vector128<byte> roundKey);

        static abstract Vector128<byte> LastRound(Vector128<byte> state, Vector128<byte> roundKey);
    }

    private readonly struct Encryption : IDirection
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Round(Vector128<byte> state, Vector128<byte> roundKey) =>
            X86Aes.Encrypt(state, roundKey);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> LastRound(Vector128<byte> state, Vector128<byte> roundKey) =>
            X86Aes.EncryptLast(state, roundKey);
    }

    private readonly struct Decryption : IDirection
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Round(Vector128<byte> state, Vector128<byte> roundKey) =>
            X86Aes.Decrypt(state, roundKey);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> LastRound(Vector128<byte> state, Vector128<byte> roundKey) =>
            X86Aes.DecryptLast(state, roundKey);
    }

    /// <remarks>
    /// Unsafe code: raw pointers into the round keys (one page of SecretMemory, alive until Dispose) and into buffers
    /// whose bounds the caller has checked; no index comes from data.
    /// </remarks>
    private sealed unsafe class Transform : AesXtsTransform
    {
        private const int Lanes = 8;

        private readonly XtsRoundKeys _keys;
        private readonly byte* _encryptionKeys;
        private readonly byte* _decryptionKeys;
        private readonly byte* _tweakKeys;
        private readonly int _roundCount;

        public Transform(XtsRoundKeys keys)
        {
            _keys = keys;
            _roundCount = keys.RoundCount;
            _encryptionKeys = keys.Encryption;
            _decryptionKeys = keys.Decryption;
            _tweakKeys = keys.Tweak;
        }

        public override void TransformUnits(
            bool encrypt, ulong firstUnitNumber, ulong unitNumberStep, int unitByteSize,
            byte* source, byte* destination, nuint unitCount)
        {
            nuint unitBytes = (nuint)unitByteSize;
            nuint blocks = unitBytes / AesKeySchedule.BlockByteSize;
            Vector128<byte>* tweaks = stackalloc Vector128<byte>[Lanes];
            while (unitCount > 0)
            {
                int batch = (int)Math.Min(unitCount, Lanes);
                EncryptTweaks(firstUnitNumber, unitNumberStep, batch, tweaks);
                for (int i = 0; i < batch; i++)
                {
                    if (encrypt)
                    {
                        Run<Encryption>(_encryptionKeys, _roundCount, tweaks[i], source, destination, blocks);
                    }
                    else
                    {
                        Run<Decryption>(_decryptionKeys, _roundCount, tweaks[i], source, destination, blocks);
                    }

                    source += unitBytes;
                    destination += unitBytes;
                }

                firstUnitNumber += unitNumberStep * (ulong)batch;
                unitCount -= (nuint)batch;
            }
        }

        public override void TransformBlocks(
            bool encrypt, UInt128 unitNumber, int firstBlockIndex, byte* source, byte* destination, nuint blockCount)
        {
            Vector128<byte> number = Vector128.Create((ulong)unitNumber, (ulong)(unitNumber >> 64)).AsByte();
            Vector128<ulong> first = EncryptBlock(number).AsUInt64();
            UInt128 moved = XtsTweak.MultiplyByPower(new UInt128(first[1], first[0]), firstBlockIndex);
            Vector128<byte> tweak = Vector128.Create((ulong)moved, (ulong)(moved >> 64)).AsByte();
            if (encrypt)
            {
                Run<Encryption>(_encryptionKeys, _roundCount, tweak, source, destination, blockCount);
            }
            else
            {
                Run<Decryption>(_decryptionKeys, _roundCount, tweak, source, destination, blockCount);
            }
        }

        public override void Dispose() => _keys.Dispose();

        private Vector128<byte> EncryptBlock(Vector128<byte> state)
        {
            byte* key = _tweakKeys;
            byte* last = key + (_roundCount * AesKeySchedule.BlockByteSize);
            state ^= Vector128.Load(key);
            for (key += AesKeySchedule.BlockByteSize; key != last; key += AesKeySchedule.BlockByteSize)
            {
                state = X86Aes.Encrypt(state, Vector128.Load(key));
            }

            return X86Aes.EncryptLast(state, Vector128.Load(last));
        }

        /// <summary>The first tweaks of eight units at once: one alone would wait for every round.</summary>
        private void EncryptTweaks(ulong number, ulong step, int count, Vector128<byte>* tweaks)
        {
            if (count == 1)
            {
                tweaks[0] = EncryptBlock(Vector128.CreateScalar(number).AsByte());
                return;
            }

            byte* key = _tweakKeys;
            byte* last = key + (_roundCount * AesKeySchedule.BlockByteSize);
            Vector128<byte> k = Vector128.Load(key);
            Vector128<byte> x0 = k ^ Vector128.CreateScalar(number).AsByte();
            Vector128<byte> x1 = k ^ Vector128.CreateScalar(number + step).AsByte();
            Vector128<byte> x2 = k ^ Vector128.CreateScalar(number + (2 * step)).AsByte();
            Vector128<byte> x3 = k ^ Vector128.CreateScalar(number + (3 * step)).AsByte();
            Vector128<byte> x4 = k ^ Vector128.CreateScalar(number + (4 * step)).AsByte();
            Vector128<byte> x5 = k ^ Vector128.CreateScalar(number + (5 * step)).AsByte();
            Vector128<byte> x6 = k ^ Vector128.CreateScalar(number + (6 * step)).AsByte();
            Vector128<byte> x7 = k ^ Vector128.CreateScalar(number + (7 * step)).AsByte();
            for (key += AesKeySchedule.BlockByteSize; key != last; key += AesKeySchedule.BlockByteSize)
            {
                k = Vector128.Load(key);
                x0 = X86Aes.Encrypt(x0, k);
                x1 = X86Aes.Encrypt(x1, k);
                x2 = X86Aes.Encrypt(x2, k);
                x3 = X86Aes.Encrypt(x3, k);
                x4 = X86Aes.Encrypt(x4, k);
                x5 = X86Aes.Encrypt(x5, k);
                x6 = X86Aes.Encrypt(x6, k);
                x7 = X86Aes.Encrypt(x7, k);
            }

            k = Vector128.Load(last);
            tweaks[0] = X86Aes.EncryptLast(x0, k);
            tweaks[1] = X86Aes.EncryptLast(x1, k);
            tweaks[2] = X86Aes.EncryptLast(x2, k);
            tweaks[3] = X86Aes.EncryptLast(x3, k);
            tweaks[4] = X86Aes.EncryptLast(x4, k);
            tweaks[5] = X86Aes.EncryptLast(x5, k);
            tweaks[6] = X86Aes.EncryptLast(x6, k);
            tweaks[7] = X86Aes.EncryptLast(x7, k);
        }

        /// <summary>Consecutive blocks of one unit, from the block whose tweak is given.</summary>
        private static void Run<TDirection>(
            byte* keys, int roundCount, Vector128<byte> tweak, byte* source, byte* destination, nuint blockCount)
            where TDirection : struct, IDirection
        {
            const int Size = AesKeySchedule.BlockByteSize;
            byte* last = keys + (roundCount * Size);
            Vector128<byte> t0 = tweak;
            if (blockCount >= Lanes)
            {
                Vector128<byte> t1 = MultiplyByPower(tweak, 1);
                Vector128<byte> t2 = MultiplyByPower(tweak, 2);
                Vector128<byte> t3 = MultiplyByPower(tweak, 3);
                Vector128<byte> t4 = MultiplyByPower(tweak, 4);
                Vector128<byte> t5 = MultiplyByPower(tweak, 5);
                Vector128<byte> t6 = MultiplyByPower(tweak, 6);
                Vector128<byte> t7 = MultiplyByPower(tweak, 7);
                do
                {
                    Vector128<byte> k = Vector128.Load(keys);
                    Vector128<byte> x0 = Vector128.Load(source) ^ t0 ^ k;
                    Vector128<byte> x1 = Vector128.Load(source + (1 * Size)) ^ t1 ^ k;
                    Vector128<byte> x2 = Vector128.Load(source + (2 * Size)) ^ t2 ^ k;
                    Vector128<byte> x3 = Vector128.Load(source + (3 * Size)) ^ t3 ^ k;
                    Vector128<byte> x4 = Vector128.Load(source + (4 * Size)) ^ t4 ^ k;
                    Vector128<byte> x5 = Vector128.Load(source + (5 * Size)) ^ t5 ^ k;
                    Vector128<byte> x6 = Vector128.Load(source + (6 * Size)) ^ t6 ^ k;
                    Vector128<byte> x7 = Vector128.Load(source + (7 * Size)) ^ t7 ^ k;
                    for (byte* key = keys + Size; key != last; key += Size)
                    {
                        k = Vector128.Load(key);
                        x0 = TDirection.Round(x0, k);
                        x1 = TDirection.Round(x1, k);
                        x2 = TDirection.Round(x2, k);
                        x3 = TDirection.Round(x3, k);
                        x4 = TDirection.Round(x4, k);
                        x5 = TDirection.Round(x5, k);
                        x6 = TDirection.Round(x6, k);
                        x7 = TDirection.Round(x7, k);
                    }

                    // The last round adds its key last, so the closing tweak rides on the key.
                    k = Vector128.Load(last);
                    TDirection.LastRound(x0, k ^ t0).Store(destination);
                    TDirection.LastRound(x1, k ^ t1).Store(destination + (1 * Size));
                    TDirection.LastRound(x2, k ^ t2).Store(destination + (2 * Size));
                    TDirection.LastRound(x3, k ^ t3).Store(destination + (3 * Size));
                    TDirection.LastRound(x4, k ^ t4).Store(destination + (4 * Size));
                    TDirection.LastRound(x5, k ^ t5).Store(destination + (5 * Size));
                    TDirection.LastRound(x6, k ^ t6).Store(destination + (6 * Size));
                    TDirection.LastRound(x7, k ^ t7).Store(destination + (7 * Size));
                    t0 = MultiplyByX8(t0);
                    t1 = MultiplyByX8(t1);
                    t2 = MultiplyByX8(t2);
                    t3 = MultiplyByX8(t3);
                    t4 = MultiplyByX8(t4);
                    t5 = MultiplyByX8(t5);
                    t6 = MultiplyByX8(t6);
                    t7 = MultiplyByX8(t7);
                    source += Lanes * Size;
                    destination += Lanes * Size;
                    blockCount -= Lanes;
                }
                while (blockCount >= Lanes);
            }

            for (; blockCount > 0; blockCount--)
            {
                Vector128<byte> x = Vector128.Load(source) ^ t0 ^ Vector128.Load(keys);
                for (byte* key = keys + Size; key != last; key += Size)
                {
                    x = TDirection.Round(x, Vector128.Load(key));
                }

                TDirection.LastRound(x, Vector128.Load(last) ^ t0).Store(destination);
                t0 = MultiplyByPower(t0, 1);
                source += Size;
                destination += Size;
            }
        }

        /// <summary>A shift of the 128-bit number by one byte, the byte that left folded back in.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector128<byte> MultiplyByX8(Vector128<byte> tweak)
        {
            Vector128<ulong> carry = Sse2.ShiftRightLogical128BitLane(tweak, 15).AsUInt64();
            Vector128<ulong> folded = Pclmulqdq.CarrylessMultiply(carry, Vector128.CreateScalar(XtsTweak.Modulus), 0x00);
            return Sse2.ShiftLeftLogical128BitLane(tweak, 1) ^ folded.AsByte();
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector128<byte> MultiplyByPower(Vector128<byte> tweak, int power)
        {
            Vector128<ulong> halves = tweak.AsUInt64();
            Vector128<ulong> carries = halves >>> (64 - power);
            Vector128<ulong> shifted = (halves << power)
                ^ Sse2.ShiftLeftLogical128BitLane(carries, 8);
            // 0x01: the upper half's carry (it leaves the number) times the modulus.
            return (shifted ^ Pclmulqdq.CarrylessMultiply(carries, Vector128.CreateScalar(XtsTweak.Modulus), 0x01)).AsByte();
        }
    }
}
