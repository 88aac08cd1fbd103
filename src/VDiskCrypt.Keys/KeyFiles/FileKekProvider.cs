using VDiskCrypt.Core;

namespace VDiskCrypt.Keys;

/// <summary>`file:PATH`: an AES-256 key file, for escrow and for tests.</summary>
public sealed class FileKekProvider : IKekProvider, IKekOnHost
{
    public string Scheme => "file";

    public string IdOf(KekUri key) => $"{Scheme}:{PathOf(key)}";

    public WrappedSecret Wrap(KekUri key, SecretMemory secret, CancellationToken cancellation) =>
        AesKeyFile.Wrap(IdOf(key), PathOf(key), secret);

    public SecretMemory Unwrap(WrappedSecret wrapped, CancellationToken cancellation) =>
        AesKeyFile.Unwrap(PathOf(KekUri.Parse(wrapped.KeyId)), wrapped);

    /// <exception cref="VDiskException">Usage where it is no path; it may come from a hostile header.</exception>
    public string PathOf(KekUri key) => key.Rest.Length > 0 && !key.Rest.Contains('\0')
        ? Path.GetFullPath(key.Rest)
        : throw new VDiskException(FailureKind.Usage, "a key file's path is missing or no path", key.Rest.Length == 0 ? "file:" : null, "use file:PATH");
}
