using System.CommandLine;
using System.Text.Json.Nodes;
using Microsoft.Win32.SafeHandles;
using VDiskCrypt.Core;
using VDiskCrypt.Volumes;

namespace VDiskCrypt.Cli;

/// <summary>`decrypt`: the plaintext of a volume as a raw file, or as a stream on standard output.</summary>
internal sealed class DecryptCommand
{
    private const int ChunkByteCount = 4 << 20;
    private const int HoleByteCount = 4096;
    private readonly Argument<string> _source = new("SRC") { Description = "the image, or IMAGE#N for its partition N" };
    private readonly Argument<string> _target = new("DST") { Description = "the file to make; - is standard output" };
    private readonly CredentialOptions _credentials;

    private DecryptCommand(Command command)
    {
        command.Arguments.Add(_source);
        command.Arguments.Add(_target);
        _credentials = new CredentialOptions(command);
    }

    public static Command Build()
    {
        var command = new Command("decrypt", """
            write the plaintext of a volume to a raw file or to standard output
            Example: vdiskcrypt decrypt disk.vhdx plain.img --passphrase-file secret.txt
            """);
        var decrypt = new DecryptCommand(command);
        command.SetBody(decrypt.Run);
        return command;
    }

    private void Run(ParseResult parsed, Report report)
    {
        string target = parsed.GetRequiredValue(_target);
        using Volume volume = VolumeAccessor.Open(parsed, _credentials, parsed.GetRequiredValue(_source), VolumeAccess.ReadOnly, report);
        if (target == "-")
        {
            using Stream output = StandardOutput.Open();
            Copy(volume.Device, (_, chunk) => output.Write(chunk));
            return;
        }

        ToFile(volume.Device, Path.GetFullPath(target));
        report.Result(new JsonObject { ["file"] = target, ["byteCount"] = volume.Device.ByteLength },
            [$"{target}: {ByteSize.Format(volume.Device.ByteLength)} of plaintext"]);
    }

    /// <summary>The file appears under its name only when it is whole; its zeros are holes.</summary>
    private static void ToFile(IBlockDevice volume, string target)
    {
        if (Path.Exists(target))
        {
            throw new VDiskException(FailureKind.Usage, "the file exists already", target, "remove it, or choose another name");
        }

        string partial = $"{target}.{Environment.ProcessId}.part";
        try
        {
            using (SafeFileHandle file = File.OpenHandle(partial, FileMode.CreateNew, FileAccess.Write))
            {
                if (!OperatingSystem.IsWindows())
                {
                    File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
                }

                RandomAccess.SetLength(file, volume.ByteLength);
                Copy(volume, (offset, chunk) => WriteWithoutZeros(file, offset, chunk));
                RandomAccess.FlushToDisk(file);
            }

            HostFile.Publish(partial, target);
        }
        catch (Exception error) when (error is not VDiskException)
        {
            throw new VDiskException(FailureKind.InputOutput, $"the plaintext cannot be written: {error.Message}", target,
                "check the space and the permissions there", error);
        }
        finally
        {
            File.Delete(partial);
        }
    }

    private static void Copy(IBlockDevice volume, ChunkWriter write)
    {
        using AlignedBuffer buffer = AlignedBuffer.Rent(ChunkByteCount);
        for (long offset = 0; offset < volume.ByteLength; offset += ChunkByteCount)
        {
            Span<byte> chunk = buffer.Span[..(int)Math.Min(ChunkByteCount, volume.ByteLength - offset)];
            volume.Read(offset, chunk);
            write(offset, chunk);
        }
    }

    private static void WriteWithoutZeros(SafeFileHandle file, long offset, ReadOnlySpan<byte> chunk)
    {
        int start = 0;
        while (start < chunk.Length)
        {
            int end = start;
            while (end < chunk.Length && chunk.Slice(end, Math.Min(HoleByteCount, chunk.Length - end)).ContainsAnyExcept((byte)0))
            {
                end = Math.Min(end + HoleByteCount, chunk.Length);
            }

            if (end > start)
            {
                RandomAccess.Write(file, chunk[start..end], offset + start);
            }

            start = end + HoleByteCount;
        }
    }

    private delegate void ChunkWriter(long offset, ReadOnlySpan<byte> chunk);
}
