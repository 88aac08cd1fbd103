using System.Text.Json.Nodes;
using VDiskCrypt.Core;
using VDiskCrypt.Luks;

namespace VDiskCrypt.Volumes;

/// <summary>
/// The one token of a volume that carries the header's authentication code; it names no keyslot.
/// <code>{ "type": "vdiskcrypt", "keyslots": [], "header_hmac": "(base64)" }</code>
/// </summary>
internal static class AuthenticationToken
{
    /// <summary>Adds the token, or renews its code, as the last step of a header's change.</summary>
    public static void Seal(LuksHeaderEdit edit, LuksHeader header, SecretMemory volumeKey)
    {
        int number = Find(header)?.Number ?? edit.AddToken(Content(code: null));
        edit.ReplaceToken(number, Content(edit.ComputeAuthentication(volumeKey)));
    }

    /// <summary>The code that a header carries, or null.</summary>
    public static byte[]? CodeOf(LuksHeader header)
    {
        string? text = Find(header)?.Content[HeaderAuthentication.CodeMember] is JsonValue value && value.TryGetValue(out string? code) ? code : null;
        byte[] bytes = new byte[HeaderAuthentication.CodeByteCount];
        return text is not null && Convert.TryFromBase64String(text, bytes, out int byteCount) && byteCount == bytes.Length ? bytes : null;
    }

    private static LuksToken? Find(LuksHeader header) => header.Tokens.FirstOrDefault(token =>
        token.Type == HeaderAuthentication.TokenType && token.Content.ContainsKey(HeaderAuthentication.CodeMember));

    private static JsonObject Content(byte[]? code) => new()
    {
        ["type"] = HeaderAuthentication.TokenType,
        ["keyslots"] = new JsonArray(),
        [HeaderAuthentication.CodeMember] = code is null ? "" : Convert.ToBase64String(code),
    };
}
