using System.Buffers.Binary;
using System.Security.Cryptography;
using VDiskCrypt.Core;

namespace VDiskCrypt.Crypto;

/// <summary>
/// The anti-forensic splitter of LUKS (LUKS1 on-disk format 1.2.3, section 2.4; "luks1" in LUKS2): a key is spread over
/// many stripes, all of which are needed to get it back, so that overwriting any part destroys it. Works stripe by
/// stripe: the stripes together are as secret as the key and are never all in memory.
/// </summary>
/// <remarks>Split and merge share the same chain: state = diffuse(state XOR stripe) for all stripes but the last.</remarks>
public sealed class AntiForensic : IDisposable
{
    private readonly KdfHash _hash;
    private readonly SecretMemory _state;

    /// <param name="hash">The hash of the diffusion.</param>
    /// <param name="stripeByteCount">The size of the key, which is the size of a stripe.</param>
    public AntiForensic(KdfHash hash, int stripeByteCount)
    {
        _hash = hash;
        _state = new SecretMemory(stripeByteCount);
    }

    /// <summary>Takes in any stripe but the last.</summary>
    public void Absorb(ReadOnlySpan<byte> stripe)
    {
        Span<byte> state = _state.Span;
        Add(state, stripe, state);
        Diffuse(state);
    }

    /// <summary>Given the key, makes the last stripe; given the last stripe, makes the key.</summary>
    public void Finish(ReadOnlySpan<byte> input, Span<byte> output) => Add(_state.Span, input, output);

    public void Dispose() => _state.Dispose();

    private static void Add(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right, Span<byte> sum)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(right.Length, left.Length, nameof(right));
        for (int i = 0; i < left.Length; i++)
        {
            sum[i] = (byte)(left[i] ^ right[i]);
        }
    }

    /// <summary>Each piece of the hash's size, the shorter rest too, becomes the hash of its number and itself.</summary>
    private void Diffuse(Span<byte> state)
    {
        int hashByteCount = _hash.OutputByteCount();
        Span<byte> input = stackalloc byte[sizeof(uint) + KdfHashExtensions.LargestByteCount];
        Span<byte> output = stackalloc byte[KdfHashExtensions.LargestByteCount];
        uint number = 0;
        for (int at = 0; at < state.Length; at += hashByteCount, number++)
        {
            Span<byte> piece = state.Slice(at, Math.Min(hashByteCount, state.Length - at));
            BinaryPrimitives.WriteUInt32BigEndian(input, number);
            piece.CopyTo(input[sizeof(uint)..]);
            CryptographicOperations.HashData(
                _hash.Algorithm(), input[..(sizeof(uint) + piece.Length)], output[..hashByteCount]);
            output[..piece.Length].CopyTo(piece);
        }

        CryptographicOperations.ZeroMemory(input);
        CryptographicOperations.ZeroMemory(output);
    }
}
