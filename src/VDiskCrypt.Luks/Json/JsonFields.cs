using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace VDiskCrypt.Luks;

/// <summary>The members of one JSON object, each read with its type and its bounds checked.</summary>
internal readonly struct JsonFields(JsonObject members, JsonPlace place)
{
    public JsonPlace Place { get; } = place;

    public JsonObject Members { get; } = members;

    public bool Has(string name) => Members.ContainsKey(name);

    public string Text(string name)
    {
        if (Members[name] is JsonValue value && value.GetValueKind() == JsonValueKind.String
            && value.GetValue<string>() is { Length: > 0 } text)
        {
            return text;
        }

        throw Place[name].Damaged("a text is missing");
    }

    public JsonFields Object(string name) =>
        Members[name] is JsonObject value ? new JsonFields(value, Place[name]) : throw Place[name].Damaged("an object is missing");

    public JsonArray Array(string name) =>
        Members[name] is JsonArray value ? value : throw Place[name].Damaged("an array is missing");

    /// <summary>A JSON number without fraction.</summary>
    public long Integer(string name, long least, long most)
    {
        if (Members[name] is JsonValue value && value.GetValueKind() == JsonValueKind.Number
            && long.TryParse(value.ToJsonString(), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number))
        {
            return number >= least && number <= most
                ? number
                : throw Place[name].Damaged($"the number {number} is outside {least} to {most}");
        }

        throw Place[name].Damaged("a whole number is missing");
    }

    /// <summary>A 64-bit number, which LUKS2 writes as a text of decimal digits.</summary>
    public ulong Number(string name) =>
        ulong.TryParse(Text(name), NumberStyles.None, CultureInfo.InvariantCulture, out ulong number)
            ? number
            : throw Place[name].Damaged("the text is not a 64-bit number");

    /// <summary>A <see cref="Number"/> of bytes that is a place on some device.</summary>
    public long Bytes(string name)
    {
        ulong number = Number(name);
        return number <= long.MaxValue ? (long)number : throw Place[name].Damaged($"the number {number} is too large");
    }

    public byte[] Base64(string name, int leastByteCount, int mostByteCount)
    {
        string text = Text(name);
        var buffer = new byte[Math.Min((text.Length / 4 * 3) + 3, mostByteCount + 3)];
        if (!Convert.TryFromBase64String(text, buffer, out int byteCount)
            || byteCount < leastByteCount || byteCount > mostByteCount)
        {
            throw Place[name].Damaged($"the text is not base64 of {leastByteCount} to {mostByteCount} bytes");
        }

        return buffer[..byteCount];
    }

    /// <summary>The texts of an array.</summary>
    public List<string> Texts(string name)
    {
        var texts = new List<string>();
        foreach (JsonNode? item in Array(name))
        {
            if (item is not JsonValue value || value.GetValueKind() != JsonValueKind.String)
            {
                throw Place[name].Damaged("the array holds something that is not a text");
            }

            texts.Add(value.GetValue<string>());
        }

        return texts;
    }

    /// <summary>An array of object numbers, each of which must be among <paramref name="known"/>.</summary>
    public List<int> References(string name, IReadOnlySet<int> known)
    {
        var numbers = new List<int>();
        foreach (string text in Texts(name))
        {
            if (!TryParseObjectNumber(text, out int number) || !known.Contains(number))
            {
                throw Place[name].Damaged($"the reference \"{text}\" leads nowhere");
            }

            numbers.Add(number);
        }

        return numbers;
    }

    /// <summary>The numbered objects of a section, in the order of their numbers.</summary>
    public SortedDictionary<int, JsonFields> NumberedObjects(string name)
    {
        JsonFields section = Object(name);
        var objects = new SortedDictionary<int, JsonFields>();
        foreach ((string key, JsonNode? value) in section.Members)
        {
            if (!TryParseObjectNumber(key, out int number))
            {
                throw section.Place.Damaged($"\"{key}\" is not an object number from 0 to {Luks2Layout.MostObjects - 1}");
            }

            objects[number] = value is JsonObject members
                ? new JsonFields(members, section.Place[key])
                : throw section.Place[key].Damaged("an object is missing");
        }

        return objects;
    }

    /// <summary>Decimal, without leading zeros: "01" would be another name of the same object.</summary>
    private static bool TryParseObjectNumber(string text, out int number) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number)
        && number < Luks2Layout.MostObjects
        && text == number.ToString(CultureInfo.InvariantCulture);
}
