using Microsoft.Win32.SafeHandles;
using VDiskCrypt.Core;

namespace VDiskCrypt.Cli;

/// <summary>Reads secrets from files and descriptors straight into secret memory.</summary>
internal static class SecretSource
{
    /// <summary>8 MiB: cryptsetup's limit for key files (its --keyfile-size default).</summary>
    private const int MaximumByteCount = 8 << 20;

    private const int StandardInput = 0;

    /// <summary>The whole file as it is, as cryptsetup takes key files.</summary>
    public static SecretMemory KeyFile(string path)
    {
        using SafeFileHandle file = Open(path);
        return ReadAll(file, path, dropNewline: false);
    }

    /// <summary>A passphrase; `-` is standard input; one trailing newline is dropped.</summary>
    public static SecretMemory PassphraseFile(string path)
    {
        using SafeFileHandle file = path == "-" ? new SafeFileHandle(StandardInput, ownsHandle: false) : Open(path);
        return ReadAll(file, path == "-" ? "standard input" : path, dropNewline: true);
    }

    public static SecretMemory PassphraseDescriptor(int fd)
    {
        using var file = new SafeFileHandle(fd, ownsHandle: false);
        return ReadAll(file, $"file descriptor {fd}", dropNewline: true);
    }

    private static SafeFileHandle Open(string path)
    {
        try
        {
            return File.OpenHandle(path);
        }
        catch (Exception error) when (error is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new VDiskException(FailureKind.NotFound, "the file does not exist", path, "check the path", error);
        }
        catch (UnauthorizedAccessException error)
        {
            throw new VDiskException(FailureKind.NotPermitted, "the file may not be read", path, "check its owner and mode", error);
        }
    }

    private static SecretMemory ReadAll(SafeFileHandle file, string name, bool dropNewline)
    {
        // Doubling copies through secret memory only: the size of a pipe is not known beforehand.
        var buffer = new SecretMemory(4096);
        int byteCount = 0;
        try
        {
            using var stream = new FileStream(new SafeFileHandle(file.DangerousGetHandle(), ownsHandle: false), FileAccess.Read, bufferSize: 0);
            while (stream.Read(buffer.Span[byteCount..]) is > 0 and int read)
            {
                byteCount += read;
                if (byteCount == buffer.ByteCount)
                {
                    buffer = Doubled(buffer, name);
                }
            }
        }
        catch (Exception error) when (error is IOException and not VDiskException or UnauthorizedAccessException or ArgumentException)
        {
            buffer.Dispose();
            throw new VDiskException(FailureKind.NotFound, $"the secret cannot be read: {error.Message}", name, "check the path or the descriptor", error);
        }

        using (buffer)
        {
            if (dropNewline && byteCount > 0 && buffer.Span[byteCount - 1] == (byte)'\n')
            {
                byteCount--;
            }

            return byteCount > 0 ? SecretMemory.Take(buffer.Span[..byteCount])
                : throw new VDiskException(FailureKind.Usage, "the secret is empty", name, "give at least one byte");
        }
    }

    private static SecretMemory Doubled(SecretMemory buffer, string name)
    {
        using (buffer)
        {
            if (buffer.ByteCount >= MaximumByteCount)
            {
                throw new VDiskException(FailureKind.Usage, $"the secret is longer than {ByteSize.Format(MaximumByteCount)}", name, "is it the right file?");
            }

            var larger = new SecretMemory(buffer.ByteCount * 2);
            buffer.Span.CopyTo(larger.Span);
            return larger;
        }
    }
}
