using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace VDiskCrypt.Crypto;

/// <summary>
/// The tweaks of eight consecutive blocks, in memory, moved on by eight blocks at a time in the widest registers that
/// the processor has. Multiplying by x^8 is a shift of the 128-bit number by one byte, the byte that left folded back
/// in by a carry-less multiplication with the modulus.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct TweakGroup
{
    public const int Count = 8;

    private fixed byte _tweaks[Count * AesKeySchedule.BlockByteSize];

    /// <summary>The tweak of the first block of the group.</summary>
    public readonly Vector128<byte> First
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Unsafe.ReadUnaligned<Vector128<byte>>(in _tweaks[0]);
    }

    /// <summary>The eight tweaks from a given one on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Start(Vector128<byte> tweak)
    {
        Write(0, tweak);
        Write(1, MultiplyByPower(tweak, 1));
        Write(2, MultiplyByPower(tweak, 2));
        Write(3, MultiplyByPower(tweak, 3));
        Write(4, MultiplyByPower(tweak, 4));
        Write(5, MultiplyByPower(tweak, 5));
        Write(6, MultiplyByPower(tweak, 6));
        Write(7, MultiplyByPower(tweak, 7));
    }

    /// <summary>Writes the eight behind these to another place.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void WriteNext(TweakGroup* next)
    {
        if (Pclmulqdq.V512.IsSupported && Avx512BW.IsSupported)
        {
            WriteNext512(0, next);
            WriteNext512(64, next);
        }
        else if (Pclmulqdq.V256.IsSupported && Avx2.IsSupported)
        {
            WriteNext256(0, next);
            WriteNext256(32, next);
            WriteNext256(64, next);
            WriteNext256(96, next);
        }
        else
        {
            for (int i = 0; i < Count; i++)
            {
                WriteNext128(i * AesKeySchedule.BlockByteSize, next);
            }
        }
    }

    /// <summary>A tweak times x to a power from 1 to 63.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> MultiplyByPower(Vector128<byte> tweak, int power)
    {
        Vector128<ulong> halves = tweak.AsUInt64();
        Vector128<ulong> carries = halves >>> (64 - power);
        Vector128<ulong> shifted = (halves << power) ^ Sse2.ShiftLeftLogical128BitLane(carries, 8);
        // 0x01: the upper half's carry (it leaves the number) times the modulus.
        return (shifted ^ Pclmulqdq.CarrylessMultiply(carries, Vector128.CreateScalar(XtsTweak.Modulus), 0x01)).AsByte();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Write(int index, Vector128<byte> tweak) =>
        Unsafe.WriteUnaligned(ref _tweaks[index * AesKeySchedule.BlockByteSize], tweak);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void WriteNext512(int at, TweakGroup* next)
    {
        Vector512<byte> tweaks = Unsafe.ReadUnaligned<Vector512<byte>>(ref _tweaks[at]);
        Vector512<ulong> carries = Avx512BW.ShiftRightLogical128BitLane(tweaks, 15).AsUInt64();
        Vector512<ulong> folded = Pclmulqdq.V512.CarrylessMultiply(carries, Vector512.Create(XtsTweak.Modulus), 0x00);
        Unsafe.WriteUnaligned(ref next->_tweaks[at], Avx512BW.ShiftLeftLogical128BitLane(tweaks, 1) ^ folded.AsByte());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void WriteNext256(int at, TweakGroup* next)
    {
        Vector256<byte> tweaks = Unsafe.ReadUnaligned<Vector256<byte>>(ref _tweaks[at]);
        Vector256<ulong> carries = Avx2.ShiftRightLogical128BitLane(tweaks, 15).AsUInt64();
        Vector256<ulong> folded = Pclmulqdq.V256.CarrylessMultiply(carries, Vector256.Create(XtsTweak.Modulus), 0x00);
        Unsafe.WriteUnaligned(ref next->_tweaks[at], Avx2.ShiftLeftLogical128BitLane(tweaks, 1) ^ folded.AsByte());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void WriteNext128(int at, TweakGroup* next)
    {
        Vector128<byte> tweak = Unsafe.ReadUnaligned<Vector128<byte>>(ref _tweaks[at]);
        Vector128<ulong> carry = Sse2.ShiftRightLogical128BitLane(tweak, 15).AsUInt64();
        Vector128<ulong> folded = Pclmulqdq.CarrylessMultiply(carry, Vector128.CreateScalar(XtsTweak.Modulus), 0x00);
        Unsafe.WriteUnaligned(ref next->_tweaks[at], Sse2.ShiftLeftLogical128BitLane(tweak, 1) ^ folded.AsByte());
    }
}
