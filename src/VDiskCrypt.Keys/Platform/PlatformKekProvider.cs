using System.Security.Cryptography;
using System.Text;
using Microsoft.Win32.SafeHandles;
using VDiskCrypt.Core;

namespace VDiskCrypt.Keys;

/// <summary>
/// `platform:[NAME]`: the embedded default, a key in this host's own store. On Linux a folder per key that only its
/// owner may enter, one AES-256 key file per version, and a file `current` that names the version in use.
/// </summary>
public sealed class PlatformKekProvider : IKekProvider, IKekCreation, IKekOnHost
{
    public const string DefaultName = "default";

    private const string CurrentFile = "current";
    private const int VersionByteCount = 8;

    private readonly string _folder;

    /// <param name="folder">The store's own folder, made on first use.</param>
    public PlatformKekProvider(string folder) => _folder = folder;

    public string Scheme => "platform";

    public string IdOf(KekUri key) => $"{Scheme}:{NameOf(key)}";

    public bool EnsureExists(KekUri key, CancellationToken cancellation)
    {
        string folder = FolderOf(NameOf(key));
        if (File.Exists(Path.Combine(folder, CurrentFile)))
        {
            return false;
        }

        CreatePrivateFolder(folder);
        string version = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(VersionByteCount));
        AesKeyFile.Create(KeyPath(folder, version));
        string partial = Path.Combine(folder, $"{CurrentFile}.{version}");
        WriteDurably(partial, version);
        try
        {
            // Two first uses at once: one rename wins, and both then wrap with the winner's key.
            HostFile.Publish(partial, Path.Combine(folder, CurrentFile));
            return true;
        }
        catch (IOException) when (File.Exists(Path.Combine(folder, CurrentFile)))
        {
            File.Delete(partial);
            File.Delete(KeyPath(folder, version));
            return false;
        }
    }

    public WrappedSecret Wrap(KekUri key, SecretMemory secret, CancellationToken cancellation)
    {
        string name = NameOf(key);
        string current = Path.Combine(FolderOf(name), CurrentFile);
        if (!File.Exists(current))
        {
            throw new VDiskException(FailureKind.NotFound, $"there is no platform key '{name}'", current,
                "it is made by `vdiskcrypt create --kek platform:NAME`");
        }

        string version = CheckedWord(File.ReadAllText(current).Trim(), current);
        return AesKeyFile.Wrap($"{Scheme}:{name}/{version}", KeyPath(FolderOf(name), version), secret);
    }

    public SecretMemory Unwrap(WrappedSecret wrapped, CancellationToken cancellation)
    {
        string rest = KekUri.Parse(wrapped.KeyId).Rest;
        int slash = rest.IndexOf('/', StringComparison.Ordinal);
        if (slash <= 0)
        {
            throw new VDiskException(FailureKind.Damaged, "a platform key id without its version", wrapped.KeyId);
        }

        string name = CheckedWord(rest[..slash], wrapped.KeyId);
        string version = CheckedWord(rest[(slash + 1)..], wrapped.KeyId);
        return AesKeyFile.Unwrap(KeyPath(FolderOf(name), version), wrapped);
    }

    public string PathOf(KekUri key) => FolderOf(NameOf(key));

    private static string KeyPath(string folder, string version) => Path.Combine(folder, version + ".key");

    private static string NameOf(KekUri key) =>
        key.Rest.Length == 0 ? DefaultName : CheckedWord(key.Rest, key.ToString());

    /// <summary>Names and versions become path names, and may come from a hostile header: letters, digits, '-', '_' and inner dots only.</summary>
    private static string CheckedWord(string word, string where)
    {
        bool valid = word.Length is > 0 and <= 64 && word[0] != '.'
            && word.All(character => char.IsAsciiLetterOrDigit(character) || character is '-' or '_' or '.');
        return valid ? word : throw new VDiskException(FailureKind.Damaged,
            "a platform key's name or version has characters that are not allowed", where,
            "use letters, digits, '-', '_' and '.', 64 at most");
    }

    private static void CreatePrivateFolder(string folder)
    {
        if (OperatingSystem.IsWindows())
        {
            throw new VDiskException(FailureKind.Unsupported, "the platform key store is not available on this system", null,
                "use a passphrase or file:PATH");
        }

        // The store first: a folder on the way gets the default mode, and whoever may write there can lay keys of their own.
        const UnixFileMode ownerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        Directory.CreateDirectory(Path.GetDirectoryName(folder)!, ownerOnly);
        Directory.CreateDirectory(folder, ownerOnly);

        // The key must not be lost with its folder: a volume may have no other. Names of the folder and of the store.
        HostFile.FsyncDirectory(folder);
        HostFile.FsyncDirectory(Path.GetDirectoryName(folder)!);
    }

    private static void WriteDurably(string path, string text)
    {
        using SafeFileHandle file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write);
        RandomAccess.Write(file, Encoding.UTF8.GetBytes(text), 0);
        RandomAccess.FlushToDisk(file);
    }

    private string FolderOf(string name) => Path.Combine(_folder, name);
}
