using System.Buffers.Text;
using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;
using VDiskCrypt.Core;
using VDiskCrypt.Crypto;

namespace VDiskCrypt.Keys;

/// <summary>
/// An AES-256 key in a file of exactly 32 bytes that only its owner may read. It wraps by AES key wrap
/// (RFC 3394; A256KW of RFC 7518).
/// </summary>
internal static class AesKeyFile
{
    public const string Algorithm = "A256KW";

    private const int KeyByteCount = 32;
    private const int ThumbprintByteCount = 16;

    private const UnixFileMode OthersMode = UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.GroupExecute
        | UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.OtherExecute;

    /// <summary>Writes a new random key; durable on return, never visible half-written, never over an existing file.</summary>
    public static void Create(string path)
    {
        string partial = $"{path}.{Environment.ProcessId}.new";
        using (SecretMemory key = SecretMemory.Random(KeyByteCount))
        using (SafeFileHandle file = File.OpenHandle(partial, FileMode.CreateNew, FileAccess.Write))
        {
            if (!OperatingSystem.IsWindows())
            {
                File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            }

            RandomAccess.Write(file, key.Span, 0);
            RandomAccess.FlushToDisk(file);
        }

        HostFile.Publish(partial, path);
    }

    public static WrappedSecret Wrap(string keyId, string path, SecretMemory secret)
    {
        using SecretMemory key = Read(path);
        byte[] wrapped = new byte[secret.ByteCount + AesKeyWrap.OverheadByteCount];
        AesKeyWrap.Wrap(key.Span, secret.Span, wrapped);
        return new WrappedSecret(keyId, Algorithm, Thumbprint(key), wrapped);
    }

    /// <exception cref="VDiskException">WrongCredential when the file holds another key; Damaged when it does not unwrap.</exception>
    public static SecretMemory Unwrap(string path, WrappedSecret wrapped)
    {
        if (wrapped.Algorithm != Algorithm)
        {
            throw new VDiskException(FailureKind.Unsupported, $"a key file does not unwrap {wrapped.Algorithm}", wrapped.KeyId);
        }

        using SecretMemory key = Read(path);
        if (Thumbprint(key) != wrapped.Thumbprint)
        {
            throw new VDiskException(FailureKind.WrongCredential, "the key file holds another key than the one that wrapped this volume's secret",
                path, "restore the key file that was in use when the volume was made, or use another credential");
        }

        int byteCount = wrapped.Ciphertext.Length - AesKeyWrap.OverheadByteCount;
        if (byteCount is < 16 or > 4096)
        {
            throw new VDiskException(FailureKind.Damaged, $"a wrapped secret of {wrapped.Ciphertext.Length} bytes", wrapped.KeyId);
        }

        var secret = new SecretMemory(byteCount);
        if (!AesKeyWrap.TryUnwrap(key.Span, wrapped.Ciphertext.Span, secret.Span))
        {
            secret.Dispose();
            throw new VDiskException(FailureKind.Damaged, "the wrapped secret fails its integrity check", wrapped.KeyId,
                "the token in the header is damaged or was changed; restore a header backup or use another credential");
        }

        return secret;
    }

    /// <summary>The key with its length, owner and mode checked: strict, since whoever reads it reads the volume.</summary>
    private static SecretMemory Read(string path)
    {
        if (!File.Exists(path))
        {
            throw new VDiskException(FailureKind.NotFound, "the key file does not exist", path,
                "restore it from its backup, or use another credential");
        }

        if (!OperatingSystem.IsWindows())
        {
            CheckAccess(path);
        }

        try
        {
            using SafeFileHandle file = File.OpenHandle(path);
            long byteCount = RandomAccess.GetLength(file);
            if (byteCount != KeyByteCount)
            {
                throw new VDiskException(FailureKind.Damaged, $"a key file of {byteCount} bytes instead of {KeyByteCount}", path,
                    "make one with: head -c 32 /dev/urandom > FILE; chmod 600 FILE");
            }

            var key = new SecretMemory(KeyByteCount);
            RandomAccess.Read(file, key.Span, 0);
            return key;
        }
        catch (UnauthorizedAccessException error)
        {
            throw new VDiskException(FailureKind.NotPermitted, "the key file may not be read", path, "run as its owner", error);
        }
        catch (IOException error) when (error is not VDiskException)
        {
            throw HostError.FromException(error, path);
        }
    }

    private static void CheckAccess(string path)
    {
        HostStatus status = HostStatus.Of(path)!.Value;
        if ((status.Mode & UnixMode.TypeMask) != UnixMode.Regular)
        {
            // The path may come from a hostile header, and reading a pipe or a terminal waits for ever.
            throw new VDiskException(FailureKind.Usage, "a key file must be a regular file", path, "name a file of 32 bytes");
        }

        if ((status.Mode & (uint)OthersMode) != 0)
        {
            throw new VDiskException(FailureKind.NotPermitted, "the key file is open to others than its owner", path,
                $"chmod 600 {path}");
        }

        if (status.UserId != HostStatus.CurrentUserId && status.UserId != 0)
        {
            throw new VDiskException(FailureKind.NotPermitted, $"the key file belongs to user {status.UserId}", path,
                "it must belong to root or to the user who runs the command");
        }
    }

    /// <summary>A keyed hash of a fixed text: equal for equal keys, and of no use for finding one.</summary>
    private static string Thumbprint(SecretMemory key)
    {
        Span<byte> hash = stackalloc byte[HMACSHA256.HashSizeInBytes];
        HMACSHA256.HashData(key.Span, "vdiskcrypt key thumbprint"u8, hash);
        return Base64Url.EncodeToString(hash[..ThumbprintByteCount]);
    }
}
