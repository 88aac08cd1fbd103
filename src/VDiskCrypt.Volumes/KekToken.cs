using System.Text.Json.Nodes;
using VDiskCrypt.Core;
using VDiskCrypt.Keys;
using VDiskCrypt.Luks;

namespace VDiskCrypt.Volumes;

/// <summary>
/// Our LUKS2 token: which keyslots a KEK opens, and the secret of those keyslots wrapped by the KEK.
/// <code>
/// { "type": "vdiskcrypt", "keyslots": ["1"],
///   "kek": { "id": "platform:default/0a1b...", "alg": "A256KW", "thumbprint": "...", "wrapped": "(base64)" } }
/// </code>
/// </summary>
public sealed record KekToken(IReadOnlyList<int> Keyslots, WrappedSecret Secret)
{
    private const string KekMember = "kek";

    /// <summary>RSA-4096 gives 512 bytes; nothing known wraps 64 bytes into more than this.</summary>
    private const int MaximumWrappedByteCount = 1536;

    private const int MaximumFieldLength = 2048;

    public JsonObject ToJson() => new()
    {
        ["type"] = HeaderAuthentication.TokenType,
        ["keyslots"] = new JsonArray([.. Keyslots.Select(slot => (JsonNode)slot.ToString())]),
        [KekMember] = new JsonObject
        {
            ["id"] = Secret.KeyId,
            ["alg"] = Secret.Algorithm,
            ["thumbprint"] = Secret.Thumbprint,
            ["wrapped"] = Convert.ToBase64String(Secret.Ciphertext.Span),
        },
    };

    /// <summary>Null when it is a token of another kind.</summary>
    /// <exception cref="VDiskException">Damaged when it is ours and a field is missing, of the wrong kind, or too long.</exception>
    public static KekToken? Parse(JsonObject token, int tokenNumber)
    {
        if (Text(token["type"]) != HeaderAuthentication.TokenType || !token.ContainsKey(KekMember))
        {
            return null;
        }

        JsonObject? kek = token[KekMember] as JsonObject;
        string? id = Text(kek?["id"]);
        string? algorithm = Text(kek?["alg"]);
        string? thumbprint = Text(kek?["thumbprint"]);
        string? wrapped = Text(kek?["wrapped"]);
        byte[] ciphertext = new byte[MaximumWrappedByteCount];
        if (id is null || algorithm is null || thumbprint is null || wrapped is null
            || !Convert.TryFromBase64String(wrapped, ciphertext, out int byteCount)
            || token["keyslots"] is not JsonArray slots)
        {
            throw new VDiskException(FailureKind.Damaged, "a KEK token has a field missing, of the wrong kind, or too long",
                $"LUKS2 token {tokenNumber}", "restore a header backup, or use another credential");
        }

        int[] keyslots = [.. slots.Select(Text).Where(slot => int.TryParse(slot, out _)).Select(slot => int.Parse(slot!))];
        return new KekToken(keyslots, new WrappedSecret(id, algorithm, thumbprint, ciphertext.AsMemory(0, byteCount)));
    }

    private static string? Text(JsonNode? node) =>
        node is JsonValue value && value.TryGetValue(out string? text) && text.Length <= MaximumFieldLength ? text : null;
}
