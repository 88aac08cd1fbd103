using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using VDiskCrypt.Core;
using ArmAes = System.Runtime.Intrinsics.Arm.Aes;

namespace VDiskCrypt.Crypto;

/// <summary>AES-XTS by ARM's AES and PMULL instructions (ARMv8-A cryptographic extension), eight blocks in flight.</summary>
internal sealed class ArmXtsKernel : AesXtsKernel
{
    public override string Name => "arm";

    public override bool IsSupported => ArmAes.IsSupported && AdvSimd.IsSupported;

    public override AesXtsTransform Create(ReadOnlySpan<byte> key) => new Transform(key);

    /// <summary>A direction of the cipher; a struct, so that each direction gets machine code of its own.</summary>
    private interface IDirection
    {
        /// <summary>Adds the key first, unlike x86, then substitutes, shifts and mixes.</summary>
        static abstract Vector128<byte> Round(Vector128<byte> state, Vector128<byte> roundKey);

        /// <summary>Without the mixing; the very last key is still to be added.</summary>
        static abstract Vector128<byte> LastRound(Vector128<byte> state, Vector128<byte> roundKey);
    }

    private readonly struct Encryption : IDirection
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Round(Vector128<byte> state, Vector128<byte> roundKey) =>
            ArmAes.MixColumns(ArmAes.Encrypt(state, roundKey));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> LastRound(Vector128<byte> state, Vector128<byte> roundKey) =>
            ArmAes.Encrypt(state, roundKey);
    }

    private readonly struct Decryption : IDirection
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> Round(Vector128<byte> state, Vector128<byte> roundKey) =>
            ArmAes.InverseMixColumns(ArmAes.Decrypt(state, roundKey));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<byte> LastRound(Vector128<byte> state, Vector128<byte> roundKey) =>
            ArmAes.Decrypt(state, roundKey);
    }

    /// <remarks>
    /// Unsafe code: raw pointers into the round keys (one page of SecretMemory, alive until Dispose) and into buffers
    /// whose bounds the caller has checked; no index comes from data.
    /// </remarks>
    private sealed unsafe class Transform : AesXtsTransform
    {
        private const int Lanes = 8;

        private readonly SecretMemory _schedule;
        private readonly byte* _encryptionKeys;
        private readonly byte* _decryptionKeys;
        private readonly byte* _tweakKeys;
        private readonly int _roundCount;

        public Transform(ReadOnlySpan<byte> key)
        {
            const int Part = AesKeySchedule.LargestByteCount;
            int half = key.Length / 2;
            _roundCount = AesKeySchedule.RoundCount(half);
            _schedule = new SecretMemory(3 * Part);
            Span<byte> schedule = _schedule.Span;
            AesKeySchedule.Expand(key[..half], schedule[..Part]);
            AesKeySchedule.Invert(schedule[..Part], schedule[Part..(2 * Part)], _roundCount);
            AesKeySchedule.Expand(key[half..], schedule[(2 * Part)..]);
            _encryptionKeys = (byte*)_schedule.Address;
            _decryptionKeys = _encryptionKeys + Part;
            _tweakKeys = _decryptionKeys + Part;
        }

        public override void TransformUnits(
            bool encrypt, ulong firstUnitNumber, ulong unitNumberStep, int unitByteSize,
            byte* source, byte* destination, nuint unitCount)
        {
            nuint blocks = (nuint)unitByteSize / AesKeySchedule.BlockByteSize;
            for (; unitCount > 0; unitCount--)
            {
                TransformBlocks(encrypt, firstUnitNumber, 0, source, destination, blocks);
                firstUnitNumber += unitNumberStep;
                source += unitByteSize;
                destination += unitByteSize;
            }
        }

        public override void TransformBlocks(
            bool encrypt, UInt128 unitNumber, int firstBlockIndex, byte* source, byte* destination, nuint blockCount)
        {
            Vector128<ulong> first = EncryptBlock(ToVector(unitNumber)).AsUInt64();
            UInt128 tweak = XtsTweak.MultiplyByPower(new UInt128(first[1], first[0]), firstBlockIndex);
            if (encrypt)
            {
                Run<Encryption>(_encryptionKeys, _roundCount, tweak, source, destination, blockCount);
            }
            else
            {
                Run<Decryption>(_decryptionKeys, _roundCount, tweak, source, destination, blockCount);
            }
        }

        public override void Dispose() => _schedule.Dispose();

        private static Vector128<byte> ToVector(UInt128 value) =>
            Vector128.Create((ulong)value, (ulong)(value >> 64)).AsByte();

        private Vector128<byte> EncryptBlock(Vector128<byte> state)
        {
            byte* key = _tweakKeys;
            byte* last = key + (_roundCount * AesKeySchedule.BlockByteSize);
            for (; key != last - AesKeySchedule.BlockByteSize; key += AesKeySchedule.BlockByteSize)
            {
                state = ArmAes.MixColumns(ArmAes.Encrypt(state, Vector128.Load(key)));
            }

            return ArmAes.Encrypt(state, Vector128.Load(key)) ^ Vector128.Load(last);
        }

        /// <summary>Consecutive blocks of one unit, from the block whose tweak is given.</summary>
        private static void Run<TDirection>(
            byte* keys, int roundCount, UInt128 tweak, byte* source, byte* destination, nuint blockCount)
            where TDirection : struct, IDirection
        {
            const int Size = AesKeySchedule.BlockByteSize;
            byte* last = keys + (roundCount * Size);
            byte* mixedEnd = last - Size;
            Vector128<byte> closing = Vector128.Load(last);
            Vector128<byte> beforeClosing = Vector128.Load(mixedEnd);
            Vector128<byte> t0 = ToVector(tweak);
            if (blockCount >= Lanes)
            {
                Vector128<byte> t1 = ToVector(XtsTweak.MultiplyByPower(tweak, 1));
                Vector128<byte> t2 = ToVector(XtsTweak.MultiplyByPower(tweak, 2));
                Vector128<byte> t3 = ToVector(XtsTweak.MultiplyByPower(tweak, 3));
                Vector128<byte> t4 = ToVector(XtsTweak.MultiplyByPower(tweak, 4));
                Vector128<byte> t5 = ToVector(XtsTweak.MultiplyByPower(tweak, 5));
                Vector128<byte> t6 = ToVector(XtsTweak.MultiplyByPower(tweak, 6));
                Vector128<byte> t7 = ToVector(XtsTweak.MultiplyByPower(tweak, 7));
                do
                {
                    Vector128<byte> x0 = Vector128.Load(source) ^ t0;
                    Vector128<byte> x1 = Vector128.Load(source + (1 * Size)) ^ t1;
                    Vector128<byte> x2 = Vector128.Load(source + (2 * Size)) ^ t2;
                    Vector128<byte> x3 = Vector128.Load(source + (3 * Size)) ^ t3;
                    Vector128<byte> x4 = Vector128.Load(source + (4 * Size)) ^ t4;
                    Vector128<byte> x5 = Vector128.Load(source + (5 * Size)) ^ t5;
                    Vector128<byte> x6 = Vector128.Load(source + (6 * Size)) ^ t6;
                    Vector128<byte> x7 = Vector128.Load(source + (7 * Size)) ^ t7;
                    for (byte* key = keys; key != mixedEnd; key += Size)
                    {
                        Vector128<byte> k = Vector128.Load(key);
                        x0 = TDirection.Round(x0, k);
                        x1 = TDirection.Round(x1, k);
                        x2 = TDirection.Round(x2, k);
                        x3 = TDirection.Round(x3, k);
                        x4 = TDirection.Round(x4, k);
                        x5 = TDirection.Round(x5, k);
                        x6 = TDirection.Round(x6, k);
                        x7 = TDirection.Round(x7, k);
                    }

                    (TDirection.LastRound(x0, beforeClosing) ^ closing ^ t0).Store(destination);
                    (TDirection.LastRound(x1, beforeClosing) ^ closing ^ t1).Store(destination + (1 * Size));
                    (TDirection.LastRound(x2, beforeClosing) ^ closing ^ t2).Store(destination + (2 * Size));
                    (TDirection.LastRound(x3, beforeClosing) ^ closing ^ t3).Store(destination + (3 * Size));
                    (TDirection.LastRound(x4, beforeClosing) ^ closing ^ t4).Store(destination + (4 * Size));
                    (TDirection.LastRound(x5, beforeClosing) ^ closing ^ t5).Store(destination + (5 * Size));
                    (TDirection.LastRound(x6, beforeClosing) ^ closing ^ t6).Store(destination + (6 * Size));
                    (TDirection.LastRound(x7, beforeClosing) ^ closing ^ t7).Store(destination + (7 * Size));
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

            Vector128<ulong> reached = t0.AsUInt64();
            tweak = new UInt128(reached[1], reached[0]);
            for (; blockCount > 0; blockCount--)
            {
                Vector128<byte> t = ToVector(tweak);
                Vector128<byte> x = Vector128.Load(source) ^ t;
                for (byte* key = keys; key != mixedEnd; key += Size)
                {
                    x = TDirection.Round(x, Vector128.Load(key));
                }

                (TDirection.LastRound(x, beforeClosing) ^ closing ^ t).Store(destination);
                tweak = XtsTweak.Double(tweak);
                source += Size;
                destination += Size;
            }
        }

        /// <summary>A shift of the 128-bit number by one byte, the byte that left folded back in.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector128<byte> MultiplyByX8(Vector128<byte> tweak)
        {
            Vector128<byte> carry = AdvSimd.ExtractVector128(tweak, Vector128<byte>.Zero, 15);
            Vector128<byte> shifted = AdvSimd.ExtractVector128(Vector128<byte>.Zero, tweak, 15);
            Vector128<ulong> folded = ArmAes.PolynomialMultiplyWideningLower(
                carry.AsUInt64().GetLower(), Vector64.Create(XtsTweak.Modulus));
            return shifted ^ folded.AsByte();
        }
    }
}
