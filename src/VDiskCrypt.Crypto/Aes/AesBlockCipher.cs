using System.Runtime.Intrinsics;
using System.Security.Cryptography;
using VDiskCrypt.Core;
using ArmAes = System.Runtime.Intrinsics.Arm.Aes;
using PlatformAes = System.Security.Cryptography.Aes;
using X86Aes = System.Runtime.Intrinsics.X86.Aes;

namespace VDiskCrypt.Crypto;

/// <summary>
/// AES on single blocks (FIPS 197), keys of 16, 24 or 32 bytes: by the processor's instructions with the round keys in
/// SecretMemory, or by the platform's AES (whose copy of the key is on the managed heap until Dispose).
/// </summary>
internal sealed class AesBlockCipher : IDisposable
{
    private const int Part = AesKeySchedule.LargestByteCount;

    private readonly SecretMemory? _schedule;
    private readonly PlatformAes? _platform;
    private readonly int _roundCount;

    public AesBlockCipher(ReadOnlySpan<byte> key, bool allowInstructions = true)
    {
        if (!allowInstructions || !AesKeySchedule.IsSupported)
        {
            _platform = PlatformAes.Create();
            _platform.SetKey(key);
            return;
        }

        _roundCount = AesKeySchedule.RoundCount(key.Length);
        _schedule = new SecretMemory(2 * Part);
        AesKeySchedule.Expand(key, _schedule.Span[..Part]);
        AesKeySchedule.Invert(_schedule.Span[..Part], _schedule.Span[Part..], _roundCount);
    }

    public void EncryptBlock(Span<byte> block)
    {
        if (_schedule is null)
        {
            _platform!.EncryptEcb(block, block, PaddingMode.None);
            return;
        }

        ReadOnlySpan<byte> keys = _schedule.Span;
        Vector128<byte> state = Vector128.Create<byte>(block[..AesKeySchedule.BlockByteSize]);
        if (X86Aes.IsSupported)
        {
            state ^= RoundKey(keys, 0);
            for (int i = 1; i < _roundCount; i++)
            {
                state = X86Aes.Encrypt(state, RoundKey(keys, i));
            }

            state = X86Aes.EncryptLast(state, RoundKey(keys, _roundCount));
        }
        else
        {
            for (int i = 0; i < _roundCount - 1; i++)
            {
                state = ArmAes.MixColumns(ArmAes.Encrypt(state, RoundKey(keys, i)));
            }

            state = ArmAes.Encrypt(state, RoundKey(keys, _roundCount - 1)) ^ RoundKey(keys, _roundCount);
        }

        state.CopyTo(block);
    }

    public void DecryptBlock(Span<byte> block)
    {
        if (_schedule is null)
        {
            _platform!.DecryptEcb(block, block, PaddingMode.None);
            return;
        }

        ReadOnlySpan<byte> keys = _schedule.Span[Part..];
        Vector128<byte> state = Vector128.Create<byte>(block[..AesKeySchedule.BlockByteSize]);
        if (X86Aes.IsSupported)
        {
            state ^= RoundKey(keys, 0);
            for (int i = 1; i < _roundCount; i++)
            {
                state = X86Aes.Decrypt(state, RoundKey(keys, i));
            }

            state = X86Aes.DecryptLast(state, RoundKey(keys, _roundCount));
        }
        else
        {
            for (int i = 0; i < _roundCount - 1; i++)
            {
                state = ArmAes.InverseMixColumns(ArmAes.Decrypt(state, RoundKey(keys, i)));
            }

            state = ArmAes.Decrypt(state, RoundKey(keys, _roundCount - 1)) ^ RoundKey(keys, _roundCount);
        }

        state.CopyTo(block);
    }

    public void Dispose()
    {
        _schedule?.Dispose();
        _platform?.Dispose();
    }

    private static Vector128<byte> RoundKey(ReadOnlySpan<byte> keys, int index) =>
        Vector128.Create(keys.Slice(index * AesKeySchedule.BlockByteSize, AesKeySchedule.BlockByteSize));
}
