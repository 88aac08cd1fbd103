using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;

namespace VDiskCrypt.Luks.Tests;

/// <summary>Changes headers on a device byte by byte and seals them again, independently of the code under test.</summary>
internal static class HeaderImage
{
    public const int HeaderByteSize = 16384;

    /// <summary>Changes the JSON of both copies.</summary>
    public static void Change(MemoryDevice device, Action<JsonNode> change) => ChangeText(device, text =>
    {
        JsonNode json = JsonNode.Parse(text)!;
        change(json);
        return json.ToJsonString();
    });

    /// <summary>Changes the JSON text of both copies.</summary>
    public static void ChangeText(MemoryDevice device, Func<string, string> change)
    {
        foreach (int copyAt in (int[])[0, HeaderByteSize])
        {
            Span<byte> area = device.Bytes.AsSpan(copyAt + 4096, HeaderByteSize - 4096);
            string text = Encoding.UTF8.GetString(area[..area.IndexOf((byte)0)]);
            byte[] changed = Encoding.Latin1.GetBytes(change(text));
            area.Clear();
            changed.AsSpan(0, Math.Min(changed.Length, area.Length)).CopyTo(area);
            Seal(device, copyAt);
        }
    }

    /// <summary>Changes bytes of both copies and seals them.</summary>
    public static void ChangeBytes(MemoryDevice device, Action<byte[], int> change)
    {
        foreach (int copyAt in (int[])[0, HeaderByteSize])
        {
            change(device.Bytes, copyAt);
            Seal(device, copyAt);
        }
    }

    public static void SetSequenceId(MemoryDevice device, int copyAt, ulong value)
    {
        BinaryPrimitives.WriteUInt64BigEndian(device.Bytes.AsSpan(copyAt + 16), value);
        Seal(device, copyAt);
    }

    public static void Seal(MemoryDevice device, int copyAt)
    {
        Span<byte> copy = device.Bytes.AsSpan(copyAt, HeaderByteSize);
        copy.Slice(448, 64).Clear();
        SHA256.HashData(copy).CopyTo(copy[448..]);
    }
}
