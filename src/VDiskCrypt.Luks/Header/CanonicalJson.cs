using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace VDiskCrypt.Luks;

/// <summary>
/// One text for one JSON value, whoever wrote it: names sorted by their UTF-16 code units, no white space, texts with
/// only the quote, the backslash and control characters escaped, numbers as they stand. See FORMAT.md.
/// </summary>
internal static class CanonicalJson
{
    public static void Write(JsonNode? node, StringBuilder output)
    {
        switch (node)
        {
            case JsonObject members:
                WriteMembers(members.OrderBy(member => member.Key, StringComparer.Ordinal), output);
                break;
            case JsonArray items:
                output.Append('[');
                for (int i = 0; i < items.Count; i++)
                {
                    output.Append(i > 0 ? "," : "");
                    Write(items[i], output);
                }

                output.Append(']');
                break;
            case JsonValue value when value.GetValueKind() == JsonValueKind.String:
                WriteText(value.GetValue<string>(), output);
                break;
            default:
                output.Append(node?.ToJsonString() ?? "null");
                break;
        }
    }

    private static void WriteMembers(IEnumerable<KeyValuePair<string, JsonNode?>> members, StringBuilder output)
    {
        output.Append('{');
        string separator = "";
        foreach ((string name, JsonNode? value) in members)
        {
            output.Append(separator);
            WriteText(name, output);
            output.Append(':');
            Write(value, output);
            separator = ",";
        }

        output.Append('}');
    }

    private static void WriteText(string text, StringBuilder output)
    {
        output.Append('"');
        foreach (char unit in text)
        {
            if (unit is '"' or '\\')
            {
                output.Append('\\').Append(unit);
            }
            else if (unit < ' ')
            {
                output.Append("\\u").Append(((int)unit).ToString("x4"));
            }
            else
            {
                output.Append(unit);
            }
        }

        output.Append('"');
    }
}
