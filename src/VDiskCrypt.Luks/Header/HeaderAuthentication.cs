using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using VDiskCrypt.Core;
using VDiskCrypt.Crypto;

namespace VDiskCrypt.Luks;

/// <summary>
/// Authenticates what LUKS2 leaves open: an HMAC-SHA256, keyed by HKDF from the volume key, over the segments, the
/// digests, the requirement flags and our own tokens of a header (FORMAT.md, "Header authentication"). Keyslots, foreign
/// tokens, labels and optional flags are left out, so that luksAddKey and its kin go on working.
/// </summary>
public static class HeaderAuthentication
{
    /// <summary>The type of this program's tokens.</summary>
    public const string TokenType = "vdiskcrypt";

    /// <summary>The member of a token that holds the code, in base64; it is not part of what is authenticated.</summary>
    public const string CodeMember = "header_hmac";

    public const int CodeByteCount = 32;

    private static ReadOnlySpan<byte> KeyInfo => "vdiskcrypt luks2 header authentication v1"u8;

    /// <summary>Whether a header carries a code at all; whether it fits only the volume key can tell.</summary>
    public static bool IsPresent(LuksHeader header) => header.Tokens.Any(token =>
        token.Type == TokenType && token.Content.ContainsKey(CodeMember));

    /// <summary>The code of a header as it stands.</summary>
    public static byte[] Compute(LuksHeader header, SecretMemory volumeKey) => Compute(header.Json, volumeKey);

    /// <summary>Whether a code is that of the header, in fixed time.</summary>
    public static bool Verify(LuksHeader header, SecretMemory volumeKey, ReadOnlySpan<byte> code) =>
        CryptographicOperations.FixedTimeEquals(Compute(header, volumeKey), code);

    internal static byte[] Compute(JsonObject header, SecretMemory volumeKey)
    {
        Span<byte> key = stackalloc byte[CodeByteCount];
        HkdfSha256.Derive(volumeKey.Span, salt: default, KeyInfo, key);
        byte[] code = HMACSHA256.HashData(key, Encoding.UTF8.GetBytes(Canonical(header)));
        CryptographicOperations.ZeroMemory(key);
        return code;
    }

    /// <summary>The text that is authenticated.</summary>
    internal static string Canonical(JsonObject header)
    {
        var covered = new JsonObject
        {
            ["digests"] = Without(header["digests"]!.AsObject(), _ => true, "keyslots"),
            ["requirements"] = header["config"]!["requirements"]?.DeepClone(),
            ["segments"] = header["segments"]!.DeepClone(),
            ["tokens"] = Without(header["tokens"]!.AsObject(), IsOwn, "keyslots", CodeMember),
        };
        var text = new StringBuilder();
        CanonicalJson.Write(covered, text);
        return text.ToString();
    }

    private static bool IsOwn(JsonObject token) =>
        token["type"] is JsonValue type && type.GetValueKind() == JsonValueKind.String
        && type.GetValue<string>() == TokenType;

    private static JsonObject Without(JsonObject section, Func<JsonObject, bool> keep, params string[] leftOut)
    {
        var result = new JsonObject();
        foreach ((string number, JsonNode? value) in section)
        {
            JsonObject item = value!.AsObject();
            if (keep(item))
            {
                var copy = (JsonObject)item.DeepClone();
                foreach (string name in leftOut)
                {
                    copy.Remove(name);
                }

                result[number] = copy;
            }
        }

        return result;
    }
}
