using System.Buffers.Binary;
using System.Text;
using VDiskCrypt.Core;

namespace VDiskCrypt.Cli;

/// <summary>
/// What passes between the process that unlocks and the one that serves: a line of JSON, then the volume key as a
/// 4-byte little-endian length and its bytes. Unbuffered, so that no copy of the key stays on the managed heap.
/// </summary>
internal static class KeyPipe
{
    private const int MaximumLineByteCount = 1 << 16;
    private const int MaximumKeyByteCount = 512;

    public static void Write(Stream pipe, string line, SecretMemory? key)
    {
        pipe.Write(Encoding.UTF8.GetBytes(line + "\n"));
        if (key is not null)
        {
            WriteKey(pipe, key);
        }

        pipe.Flush();
    }

    public static void WriteKey(Stream pipe, SecretMemory key)
    {
        Span<byte> length = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(length, key.ByteCount);
        pipe.Write(length);
        pipe.Write(key.Span);
    }

    /// <summary>Null when the other side ended without a line.</summary>
    public static string? ReadLine(Stream pipe)
    {
        var line = new MemoryStream();
        Span<byte> one = stackalloc byte[1];
        while (line.Length < MaximumLineByteCount)
        {
            if (pipe.Read(one) == 0)
            {
                return null;
            }

            if (one[0] == (byte)'\n')
            {
                return Encoding.UTF8.GetString(line.GetBuffer(), 0, (int)line.Length);
            }

            line.WriteByte(one[0]);
        }

        return null;
    }

    public static SecretMemory ReadKey(Stream pipe)
    {
        Span<byte> length = stackalloc byte[sizeof(int)];
        pipe.ReadExactly(length);
        int byteCount = BinaryPrimitives.ReadInt32LittleEndian(length);
        if (byteCount is <= 0 or > MaximumKeyByteCount)
        {
            throw new VDiskException(FailureKind.Internal, $"a volume key of {byteCount} bytes was handed over");
        }

        var key = new SecretMemory(byteCount);
        pipe.ReadExactly(key.Span);
        return key;
    }
}
