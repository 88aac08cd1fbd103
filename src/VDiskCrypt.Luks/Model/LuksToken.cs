using System.Text.Json.Nodes;

namespace VDiskCrypt.Luks;

/// <summary>A token: where to get the passphrase of some keyslots (section 3.5). Any type, any further members.</summary>
public sealed class LuksToken
{
    private readonly JsonObject _content;

    internal LuksToken(int number, string type, IReadOnlyList<int> keyslots, JsonObject content)
    {
        Number = number;
        Type = type;
        Keyslots = keyslots;
        _content = content;
    }

    public int Number { get; }

    public string Type { get; }

    public IReadOnlyList<int> Keyslots { get; }

    /// <summary>A copy of the whole object, type and keyslots included.</summary>
    public JsonObject Content => (JsonObject)_content.DeepClone();
}
