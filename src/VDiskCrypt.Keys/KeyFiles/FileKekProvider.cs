using VDiskCrypt.Core;

namespace VDiskCrypt.Keys;

/// <summary>`file:PATH`: an AES-256 key file, for escrow and for tests.</summary>
public sealed class FileKekProvider : IKekProvider, IKekOnHost
{
    public string Scheme => "file";

    public WrappedSecret Wrap(KekUri key, SecretMemory secret, CancellationToken cancellation) =>
        AesKeyFile.Wrap($"{Scheme}:{PathOf(key)}", PathOf(key), secret);

    public SecretMemory Unwrap(WrappedSecret wrapped, CancellationToken cancellation) =>
        AesKeyFile.Unwrap(PathOf(KekUri.Parse(wrapped.KeyId)), wrapped);

    public string PathOf(KekUri key) => Path.GetFullPath(key.Rest);
}
