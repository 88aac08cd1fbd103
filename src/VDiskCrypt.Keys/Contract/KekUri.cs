using VDiskCrypt.Core;

namespace VDiskCrypt.Keys;

/// <summary>
/// Where a key encryption key lives: `platform:NAME`, `file:PATH`, `https://...`, `pkcs11:...`. The part before the first
/// colon chooses the provider; the rest is the provider's own.
/// </summary>
public readonly record struct KekUri
{
    private KekUri(string scheme, string rest)
    {
        Scheme = scheme;
        Rest = rest;
    }

    /// <summary>Lower case, without the colon.</summary>
    public string Scheme { get; }

    /// <summary>Everything behind the first colon.</summary>
    public string Rest { get; }

    /// <exception cref="VDiskException">Usage when there is no scheme.</exception>
    public static KekUri Parse(string text)
    {
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        if (colon <= 0 || !text.AsSpan(0, colon).ContainsOnlySchemeCharacters())
        {
            throw new VDiskException(FailureKind.Usage, $"'{text}' is not the URI of a key encryption key", null,
                "use platform:[NAME], file:PATH, https://VAULT.../keys/NAME or pkcs11:...");
        }

        return new KekUri(text[..colon].ToLowerInvariant(), text[(colon + 1)..]);
    }

    public override string ToString() => $"{Scheme}:{Rest}";
}

file static class SchemeCharacters
{
    /// <summary>RFC 3986, section 3.1.</summary>
    public static bool ContainsOnlySchemeCharacters(this ReadOnlySpan<char> scheme)
    {
        foreach (char character in scheme)
        {
            if (!char.IsAsciiLetterOrDigit(character) && character is not ('+' or '-' or '.'))
            {
                return false;
            }
        }

        return char.IsAsciiLetter(scheme[0]);
    }
}
