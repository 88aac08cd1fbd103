using VDiskCrypt.Core;

namespace VDiskCrypt.Crypto;

/// <summary>The round keys of one XTS key, in one page of secret memory: data encryption, data decryption, tweak encryption.</summary>
internal sealed unsafe class XtsRoundKeys : IDisposable
{
    private const int Part = AesKeySchedule.LargestByteCount;

    private readonly SecretMemory _schedule;

    /// <param name="key">32 or 64 bytes: the data half, then the tweak half.</param>
    public XtsRoundKeys(ReadOnlySpan<byte> key)
    {
        int half = key.Length / 2;
        RoundCount = AesKeySchedule.RoundCount(half);
        _schedule = new SecretMemory(3 * Part);
        Span<byte> schedule = _schedule.Span;
        AesKeySchedule.Expand(key[..half], schedule[..Part]);
        AesKeySchedule.Invert(schedule[..Part], schedule[Part..(2 * Part)], RoundCount);
        AesKeySchedule.Expand(key[half..], schedule[(2 * Part)..]);
        Encryption = (byte*)_schedule.Address;
        Decryption = Encryption + Part;
        Tweak = Decryption + Part;
    }

    public int RoundCount { get; }

    public byte* Encryption { get; }

    public byte* Decryption { get; }

    public byte* Tweak { get; }

    public void Dispose() => _schedule.Dispose();
}
