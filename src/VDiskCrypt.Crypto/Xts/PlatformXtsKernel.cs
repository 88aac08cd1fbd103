using System.Buffers.Binary;
using System.Runtime.Intrinsics;
using System.Security.Cryptography;
using VDiskCrypt.Core;
using PlatformAes = System.Security.Cryptography.Aes;

namespace VDiskCrypt.Crypto;

/// <summary>
/// AES-XTS over the platform's own AES (OpenSSL, CNG) in ECB mode, whole buffers at a time, the tweaks added outside.
/// The fallback for processors without AES instructions, and what the other kernels are tested against. Constant-time
/// as far as the platform's AES is.
/// </summary>
/// <remarks>
/// NOTE: System.Security.Cryptography.Aes keeps its key in an array on the managed heap and in a context of the
/// platform's library. Both are wiped at Dispose; until then they are outside SecretMemory. No other kernel has this limit.
/// </remarks>
internal sealed class PlatformXtsKernel : AesXtsKernel
{
    public override string Name => "fallback";

    public override bool IsSupported => true;

    public override AesXtsTransform Create(ReadOnlySpan<byte> key) => new Transform(key);

    /// <remarks>Unsafe code: pointers of the contract become spans of the same, already checked lengths.</remarks>
    private sealed unsafe class Transform : AesXtsTransform
    {
        private const int BlockByteSize = 16;

        /// <summary>What is handed to the platform in one call, at most.</summary>
        private const int PieceByteSize = 64 * 1024;

        private readonly PlatformAes _data = PlatformAes.Create();
        private readonly PlatformAes _tweak = PlatformAes.Create();

        public Transform(ReadOnlySpan<byte> key)
        {
            int half = key.Length / 2;
            _data.SetKey(key[..half]);
            _tweak.SetKey(key[half..]);
        }

        public override void TransformUnits(
            bool encrypt, ulong firstUnitNumber, ulong unitNumberStep, int unitByteSize,
            byte* source, byte* destination, nuint unitCount)
        {
            if (unitByteSize > PieceByteSize)
            {
                for (; unitCount > 0; unitCount--)
                {
                    TransformBlocks(encrypt, firstUnitNumber, 0, source, destination, (nuint)unitByteSize / BlockByteSize);
                    firstUnitNumber += unitNumberStep;
                    source += unitByteSize;
                    destination += unitByteSize;
                }

                return;
            }

            using AlignedBuffer tweaks = AlignedBuffer.Rent(PieceByteSize);
            Span<byte> starts = stackalloc byte[4096];
            int unitsPerPiece = Math.Min(PieceByteSize / unitByteSize, starts.Length / BlockByteSize);
            while (unitCount > 0)
            {
                int batch = (int)Math.Min(unitCount, (nuint)unitsPerPiece);
                Span<byte> batchStarts = starts[..(batch * BlockByteSize)];
                for (int i = 0; i < batch; i++)
                {
                    BinaryPrimitives.WriteUInt128LittleEndian(batchStarts[(i * BlockByteSize)..], firstUnitNumber);
                    firstUnitNumber += unitNumberStep;
                }

                _tweak.EncryptEcb(batchStarts, batchStarts, PaddingMode.None);
                int byteCount = batch * unitByteSize;
                for (int i = 0; i < batch; i++)
                {
                    UInt128 tweak = BinaryPrimitives.ReadUInt128LittleEndian(batchStarts[(i * BlockByteSize)..]);
                    FillTweaks(ref tweak, tweaks.Span.Slice(i * unitByteSize, unitByteSize));
                }

                TransformPiece(encrypt, tweaks.Span[..byteCount], source, destination);
                source += byteCount;
                destination += byteCount;
                unitCount -= (nuint)batch;
            }
        }

        public override void TransformBlocks(
            bool encrypt, UInt128 unitNumber, int firstBlockIndex, byte* source, byte* destination, nuint blockCount)
        {
            using AlignedBuffer tweaks = AlignedBuffer.Rent((int)Math.Min(blockCount * BlockByteSize, PieceByteSize));
            Span<byte> start = stackalloc byte[BlockByteSize];
            BinaryPrimitives.WriteUInt128LittleEndian(start, unitNumber);
            _tweak.EncryptEcb(start, start, PaddingMode.None);
            UInt128 tweak = XtsTweak.MultiplyByPower(BinaryPrimitives.ReadUInt128LittleEndian(start), firstBlockIndex);
            while (blockCount > 0)
            {
                int byteCount = (int)Math.Min(blockCount * BlockByteSize, PieceByteSize);
                FillTweaks(ref tweak, tweaks.Span[..byteCount]);
                TransformPiece(encrypt, tweaks.Span[..byteCount], source, destination);
                source += byteCount;
                destination += byteCount;
                blockCount -= (nuint)(byteCount / BlockByteSize);
            }
        }

        public override void Dispose()
        {
            _data.Dispose();
            _tweak.Dispose();
        }

        /// <summary>Writes the tweak of each block and moves on to the one behind the last.</summary>
        private static void FillTweaks(ref UInt128 tweak, Span<byte> tweaks)
        {
            for (int i = 0; i < tweaks.Length; i += BlockByteSize)
            {
                BinaryPrimitives.WriteUInt128LittleEndian(tweaks[i..], tweak);
                tweak = XtsTweak.Double(tweak);
            }
        }

        private void TransformPiece(bool encrypt, ReadOnlySpan<byte> tweaks, byte* source, byte* destination)
        {
            var output = new Span<byte>(destination, tweaks.Length);
            Add(new ReadOnlySpan<byte>(source, tweaks.Length), tweaks, output);
            if (encrypt)
            {
                _data.EncryptEcb(output, output, PaddingMode.None);
            }
            else
            {
                _data.DecryptEcb(output, output, PaddingMode.None);
            }

            Add(output, tweaks, output);
        }

        private static void Add(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right, Span<byte> sum)
        {
            for (int i = 0; i < sum.Length; i += BlockByteSize)
            {
                (Vector128.Create(left.Slice(i, BlockByteSize)) ^ Vector128.Create(right.Slice(i, BlockByteSize)))
                    .CopyTo(sum[i..]);
            }
        }
    }
}
