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
        private const int Lanes = TweakGroup.Count;
        private const int Size = AesKeySchedule.BlockByteSize;

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
            TweakGroup* groups = stackalloc TweakGroup[2];
            while (unitCount > 0)
            {
                int batch = (int)Math.Min(unitCount, Lanes);
                EncryptTweaks(firstUnitNumber, unitNumberStep, batch, tweaks);
                for (int i = 0; i < batch; i++)
                {
                    if (encrypt)
                    {
                        Run<Encryption>(_encryptionKeys, _roundCount, tweaks[i], groups, source, destination, blocks);
                    }
                    else
                    {
                        Run<Decryption>(_decryptionKeys, _roundCount, tweaks[i], groups, source, destination, blocks);
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
            TweakGroup* groups = stackalloc TweakGroup[2];
            if (encrypt)
            {
                Run<Encryption>(_encryptionKeys, _roundCount, tweak, groups, source, destination, blockCount);
            }
            else
            {
                Run<Decryption>(_decryptionKeys, _roundCount, tweak, groups, source, destination, blockCount);
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
        /// <remarks>
        /// The eight tweaks of a group lie in memory: the AES instructions reach sixteen registers only, and the eight
        /// states, the round key and eight tweaks are more. The memory is the caller's (room for two groups), which keeps
        /// the compiler from holding its content in registers all the same.
        /// </remarks>
        private static void Run<TDirection>(
            byte* keys, int roundCount, Vector128<byte> tweak, TweakGroup* groups,
            byte* source, byte* destination, nuint blockCount)
            where TDirection : struct, IDirection
        {
            byte* last = keys + (roundCount * Size);
            if (blockCount >= Lanes)
            {
                TweakGroup* group = groups;
                group->Start(tweak);
                TweakGroup* next = groups + 1;
                do
                {
                    Group<TDirection>(keys, last, group, next, source, destination);
                    TweakGroup* used = group;
                    group = next;
                    next = used;
                    source += Lanes * Size;
                    destination += Lanes * Size;
                    blockCount -= Lanes;
                }
                while (blockCount >= Lanes);
                tweak = group->First;
            }

            for (; blockCount > 0; blockCount--)
            {
                Vector128<byte> x = Vector128.Load(source) ^ tweak ^ Vector128.Load(keys);
                for (byte* key = keys + Size; key != last; key += Size)
                {
                    x = TDirection.Round(x, Vector128.Load(key));
                }

                TDirection.LastRound(x, Vector128.Load(last) ^ tweak).Store(destination);
                tweak = TweakGroup.MultiplyByPower(tweak, 1);
                source += Size;
                destination += Size;
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Round<TDirection>(
            byte* key, ref Vector128<byte> x0, ref Vector128<byte> x1, ref Vector128<byte> x2, ref Vector128<byte> x3,
            ref Vector128<byte> x4, ref Vector128<byte> x5, ref Vector128<byte> x6, ref Vector128<byte> x7)
            where TDirection : struct, IDirection
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

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Group<TDirection>(
            byte* keys, byte* last, TweakGroup* group, TweakGroup* next, byte* source, byte* destination)
            where TDirection : struct, IDirection
        {
            byte* tweaks = (byte*)group;
            Vector128<byte> k = Vector128.Load(keys);
            Vector128<byte> x0 = Vector128.Load(source) ^ Vector128.Load(tweaks) ^ k;
            Vector128<byte> x1 = Vector128.Load(source + (1 * Size)) ^ Vector128.Load(tweaks + (1 * Size)) ^ k;
            Vector128<byte> x2 = Vector128.Load(source + (2 * Size)) ^ Vector128.Load(tweaks + (2 * Size)) ^ k;
            Vector128<byte> x3 = Vector128.Load(source + (3 * Size)) ^ Vector128.Load(tweaks + (3 * Size)) ^ k;
            Vector128<byte> x4 = Vector128.Load(source + (4 * Size)) ^ Vector128.Load(tweaks + (4 * Size)) ^ k;
            Vector128<byte> x5 = Vector128.Load(source + (5 * Size)) ^ Vector128.Load(tweaks + (5 * Size)) ^ k;
            Vector128<byte> x6 = Vector128.Load(source + (6 * Size)) ^ Vector128.Load(tweaks + (6 * Size)) ^ k;
            Vector128<byte> x7 = Vector128.Load(source + (7 * Size)) ^ Vector128.Load(tweaks + (7 * Size)) ^ k;
            Round<TDirection>(keys + (1 * Size), ref x0, ref x1, ref x2, ref x3, ref x4, ref x5, ref x6, ref x7);
            Round<TDirection>(keys + (2 * Size), ref x0, ref x1, ref x2, ref x3, ref x4, ref x5, ref x6, ref x7);
            Round<TDirection>(keys + (3 * Size), ref x0, ref x1, ref x2, ref x3, ref x4, ref x5, ref x6, ref x7);
            Round<TDirection>(keys + (4 * Size), ref x0, ref x1, ref x2, ref x3, ref x4, ref x5, ref x6, ref x7);
            // In the middle of the rounds, where it is done for nothing: behind them it would cost a tenth of the speed.
            group->WriteNext(next);
            Round<TDirection>(keys + (5 * Size), ref x0, ref x1, ref x2, ref x3, ref x4, ref x5, ref x6, ref x7);
            Round<TDirection>(keys + (6 * Size), ref x0, ref x1, ref x2, ref x3, ref x4, ref x5, ref x6, ref x7);
            Round<TDirection>(keys + (7 * Size), ref x0, ref x1, ref x2, ref x3, ref x4, ref x5, ref x6, ref x7);
            Round<TDirection>(keys + (8 * Size), ref x0, ref x1, ref x2, ref x3, ref x4, ref x5, ref x6, ref x7);
            Round<TDirection>(keys + (9 * Size), ref x0, ref x1, ref x2, ref x3, ref x4, ref x5, ref x6, ref x7);
            if (last != keys + (10 * Size))
            {
                Round<TDirection>(keys + (10 * Size), ref x0, ref x1, ref x2, ref x3, ref x4, ref x5, ref x6, ref x7);
                Round<TDirection>(keys + (11 * Size), ref x0, ref x1, ref x2, ref x3, ref x4, ref x5, ref x6, ref x7);
                Round<TDirection>(keys + (12 * Size), ref x0, ref x1, ref x2, ref x3, ref x4, ref x5, ref x6, ref x7);
                Round<TDirection>(keys + (13 * Size), ref x0, ref x1, ref x2, ref x3, ref x4, ref x5, ref x6, ref x7);
            }

            // The last round adds its key last, so the closing tweak rides on the key.
            k = Vector128.Load(last);
            TDirection.LastRound(x0, k ^ Vector128.Load(tweaks)).Store(destination);
            TDirection.LastRound(x1, k ^ Vector128.Load(tweaks + (1 * Size))).Store(destination + (1 * Size));
            TDirection.LastRound(x2, k ^ Vector128.Load(tweaks + (2 * Size))).Store(destination + (2 * Size));
            TDirection.LastRound(x3, k ^ Vector128.Load(tweaks + (3 * Size))).Store(destination + (3 * Size));
            TDirection.LastRound(x4, k ^ Vector128.Load(tweaks + (4 * Size))).Store(destination + (4 * Size));
            TDirection.LastRound(x5, k ^ Vector128.Load(tweaks + (5 * Size))).Store(destination + (5 * Size));
            TDirection.LastRound(x6, k ^ Vector128.Load(tweaks + (6 * Size))).Store(destination + (6 * Size));
            TDirection.LastRound(x7, k ^ Vector128.Load(tweaks + (7 * Size))).Store(destination + (7 * Size));
        }
    }
}
