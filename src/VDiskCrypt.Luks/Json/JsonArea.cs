using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using VDiskCrypt.Core;

namespace VDiskCrypt.Luks;

/// <summary>The JSON area of a header copy (section 3): one object, a zero byte, zeros to the end of the area.</summary>
internal static class JsonArea
{
    /// <summary>json-c's own limit, which cryptsetup therefore has.</summary>
    private const int MostDepth = 32;

    private static readonly JsonDocumentOptions ReadOptions = new()
    {
        MaxDepth = MostDepth,
        AllowDuplicateProperties = false,
    };

    // Base64's '+' and texts outside ASCII as they are: escapes would cost room in the area.
    private static readonly JsonWriterOptions WriteOptions = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static JsonObject Parse(ReadOnlySpan<byte> area, JsonPlace place)
    {
        int length = area.IndexOf((byte)0);
        if (length <= 0 || area[0] != (byte)'{')
        {
            throw place.Damaged("the JSON area does not hold a zero-terminated object");
        }

        if (area[length..].ContainsAnyExcept((byte)0))
        {
            throw place.Damaged("the JSON area holds something behind its end");
        }

        return ParseText(area[..length], place);
    }

    /// <summary>One JSON object, every text in it checked, so that no later access fails.</summary>
    public static JsonObject ParseText(ReadOnlySpan<byte> text, JsonPlace place)
    {
        try
        {
            if (JsonNode.Parse(text, null, ReadOptions) is not JsonObject root)
            {
                throw place.Damaged("the JSON is not an object");
            }

            Materialize(root);
            return root;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or ArgumentException or FormatException)
        {
            // NOTE: JSON allows duplicate names and lone surrogates, json-c takes the last and replaces the other; a header
            // that two readers read differently is refused here.
            throw place.Damaged("the JSON is malformed, has a duplicate name or is nested too deep");
        }
    }

    public static byte[] Serialize(JsonObject root)
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream, WriteOptions))
        {
            root.WriteTo(writer);
        }

        return stream.ToArray();
    }

    /// <summary>Touches every name and text: System.Text.Json decodes them late and would throw then.</summary>
    private static void Materialize(JsonNode? node)
    {
        switch (node)
        {
            case JsonObject properties:
                foreach ((string _, JsonNode? value) in properties)
                {
                    Materialize(value);
                }

                break;
            case JsonArray items:
                foreach (JsonNode? item in items)
                {
                    Materialize(item);
                }

                break;
            case JsonValue value when value.GetValueKind() == JsonValueKind.String:
                value.GetValue<string>();
                break;
        }
    }
}
