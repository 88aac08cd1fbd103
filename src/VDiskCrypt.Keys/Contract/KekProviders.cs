using VDiskCrypt.Core;

namespace VDiskCrypt.Keys;

/// <summary>The providers that this process knows, by scheme.</summary>
public sealed class KekProviders
{
    private readonly Dictionary<string, IKekProvider> _byScheme;

    public KekProviders(IEnumerable<IKekProvider> providers) =>
        _byScheme = providers.ToDictionary(provider => provider.Scheme, StringComparer.Ordinal);

    /// <exception cref="VDiskException">Unsupported when no provider serves the scheme.</exception>
    public IKekProvider For(KekUri key) => _byScheme.TryGetValue(key.Scheme, out IKekProvider? provider)
        ? provider
        : throw new VDiskException(FailureKind.Unsupported, $"no key store serves '{key.Scheme}:' keys", key.ToString(),
            $"use one of {string.Join(", ", _byScheme.Keys.Order(StringComparer.Ordinal).Select(scheme => scheme + ":"))}");
}
