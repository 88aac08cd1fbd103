using VDiskCrypt.Core;
using VDiskCrypt.Testing;

namespace VDiskCrypt.Images.Tests;

/// <summary>Contents for disks that repeat from a seed.</summary>
internal static class Pattern
{
    private const int Unit = 4096;

    /// <summary>Mostly zeros, with runs of random bytes here and there.</summary>
    public static byte[] Sparse(int byteLength, int seed)
    {
        byte[] bytes = new byte[byteLength];
        var random = new Random(seed);
        for (int i = 0; i < 60; i++)
        {
            int start = random.Next(byteLength / 512) * 512;
            int count = Math.Min(byteLength - start, random.Next(1, 300) * 512);
            random.NextBytes(bytes.AsSpan(start, count));
        }

        return bytes;
    }

    public static void WriteNonZero(IBlockDevice device, byte[] model)
    {
        for (int position = 0; position < model.Length; position += Unit)
        {
            Span<byte> part = model.AsSpan(position, Math.Min(Unit, model.Length - position));
            if (part.ContainsAnyExcept((byte)0))
            {
                device.Write(position, part);
            }
        }
    }

    /// <summary>What <see cref="WriteNonZero"/> of <paramref name="over"/> makes of <paramref name="model"/>.</summary>
    public static void Merge(byte[] model, byte[] over)
    {
        for (int position = 0; position < model.Length; position += Unit)
        {
            Span<byte> part = over.AsSpan(position, Math.Min(Unit, model.Length - position));
            if (part.ContainsAnyExcept((byte)0))
            {
                part.CopyTo(model.AsSpan(position));
            }
        }
    }

    public static void ExpectSame(this ToolResult compared) =>
        Assert.True(compared.ExitCode == 0, compared.Output + compared.Error);
}
