using System.Security.Cryptography;
using VDiskCrypt.Core;
using VDiskCrypt.Crypto;
using VDiskCrypt.Ext4;
using VDiskCrypt.Images;
using VDiskCrypt.Keys;
using VDiskCrypt.Luks;

namespace VDiskCrypt.Volumes;

/// <summary>Makes a new image: container format, partition, LUKS2 volume, keyslots and tokens, filesystem.</summary>
public static class VolumeCreation
{
    private const int SecretByteCount = 64;
    private const int PartialNameByteCount = 6;
    private const int MaximumLabelByteCount = 16;
    private const string PartitionName = "encrypted volume";

    /// <summary>The header takes 16 MiB, a GPT 2 MiB; an ext4 with a journal needs the rest.</summary>
    private const long SmallestByteCount = 24L << 20;

    public static string[] Formats { get; } = ImageFormatNames.All;

    /// <summary>.vhd dynamic VHD, .vhdx dynamic VHDX, anything else raw.</summary>
    public static string FormatOfExtension(string path) => System.IO.Path.GetExtension(path).ToLowerInvariant() switch
    {
        ".vhd" => "vhd",
        ".vhdx" => "vhdx",
        _ => "raw",
    };

    /// <remarks>
    /// The order: 1. everything that can be refused is checked, and the KEKs wrap; 2. the image is made under a name of
    /// its own; 3. partition table; 4. LUKS2 header, keyslots, tokens; 5. filesystem; 6. flush and close; 7. it is
    /// remembered that the header has an authentication code; 8. the image gets its name. A failure or a crash before 8 leaves nothing under the name that was asked for.
    /// </remarks>
    /// <exception cref="VDiskException">Usage, NotPermitted, NoSpace, and whatever a KEK's store answers.</exception>
    public static CreatedVolume Create(VolumeCreationOptions options, KekProviders providers)
    {
        Validate(options);
        var notices = new List<string>();
        List<WrappedKey> wrapped = Wrap(options, providers, notices);
        SecretMemory? recoveryKey = options.WithRecoveryKey ? RecoveryKey.Create() : null;
        SecretMemory volumeKey = AesXtsKey.Generate(options.KeyBitCount / 8);
        
        // Random, not the process id: processes of two containers or hosts share numbers, and one would delete the other's.
        string partial = $"{options.Path}.{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(PartialNameByteCount))}.new";
        try
        {
            string uuid;
            long byteCount;
            using (DiskImage image = ImageFormats.Create(partial, ImageFormatNames.Parse(options.Format), options.ByteCount))
            {
                uuid = Fill(image, options, volumeKey, wrapped, recoveryKey);
                byteCount = image.ByteLength;
            }

            new KnownVolumes(options.KnownVolumesFolder).Remember(uuid, volumeKey);
            HostFile.Publish(partial, options.Path);
            return new CreatedVolume
            {
                Path = options.Path,
                Format = options.Format,
                ByteCount = byteCount,
                Uuid = uuid,
                VolumeKey = volumeKey,
                RecoveryKey = recoveryKey,
                Notices = notices,
            };
        }
        catch
        {
            File.Delete(partial);
            volumeKey.Dispose();
            recoveryKey?.Dispose();
            throw;
        }
        finally
        {
            wrapped.ForEach(key => key.Secret.Dispose());
        }
    }

    private static void Validate(VolumeCreationOptions options)
    {
        if (File.Exists(options.Path) || Directory.Exists(options.Path))
        {
            throw new VDiskException(FailureKind.Usage, "the file exists already, and create never overwrites", options.Path,
                "mount it without --create, or choose another name");
        }

        if (!Directory.Exists(System.IO.Path.GetDirectoryName(options.Path)))
        {
            throw new VDiskException(FailureKind.NotFound, "the folder for the image does not exist",
                System.IO.Path.GetDirectoryName(options.Path), "make it first");
        }

        Require(options.ByteCount >= SmallestByteCount, $"a size of {options.ByteCount} bytes is too small for a volume", "use 24M or more");
        Require(options.SectorByteCount is 512 or 4096, $"a sector size of {options.SectorByteCount} bytes", "use 512 or 4096");
        Require(options.KeyBitCount is 256 or 512, $"a key size of {options.KeyBitCount} bits", "use 256 or 512");
        Require(options.IterationTimeMs > 0, $"an iteration time of {options.IterationTimeMs} ms", "use a positive number");
        Require(System.Text.Encoding.UTF8.GetByteCount(options.Label) <= MaximumLabelByteCount,
            $"the label '{options.Label}' is longer than {MaximumLabelByteCount} bytes", "use a shorter one");
        Require(options.Keks.Count + options.Secrets.Count > 0 || options.WithRecoveryKey, "a volume without any credential", "give a passphrase or a KEK");
    }

    private static void Require(bool condition, string what, string remedy)
    {
        if (!condition)
        {
            throw new VDiskException(FailureKind.Usage, what, null, remedy);
        }
    }

    /// <summary>One random secret per KEK, wrapped by it. Keys of a store that can make them are made.</summary>
    private static List<WrappedKey> Wrap(VolumeCreationOptions options, KekProviders providers, List<string> notices)
    {
        var wrapped = new List<WrappedKey>();
        foreach (KekUri key in options.Keks)
        {
            IKekProvider provider = providers.For(key);
            if (provider is IKekCreation creation && creation.EnsureExists(key, CancellationToken.None))
            {
                notices.Add($"a new key encryption key was made, {Where(provider, key)}; back it up");
            }

            if (provider is IKekOnHost host && !OperatingSystem.IsWindows()
                && HostStatus.OnSameDisk(host.PathOf(key), System.IO.Path.GetDirectoryName(options.Path)!))
            {
                notices.Add($"the key encryption key, {Where(provider, key)}, lies on the same disk as the image: a stolen disk is not "
                    + "protected. Use --passphrase-file, or --kek file:PATH on another medium, against that");
            }

            SecretMemory secret = SecretMemory.Random(SecretByteCount);
            wrapped.Add(new WrappedKey(secret, provider.Wrap(key, secret, CancellationToken.None)));
        }

        return wrapped;
    }

    private static string Where(IKekProvider provider, KekUri key) => provider is IKekOnHost host ? host.PathOf(key) : key.ToString();

    private static string Fill(
        IBlockDevice disk, VolumeCreationOptions options, SecretMemory volumeKey, List<WrappedKey> wrapped, SecretMemory? recoveryKey)
    {
        IBlockDevice place = options.WithPartition ?? options.Format != "raw"
            ? new PartitionDevice(disk, PartitionTable.CreateGpt(disk, [new NewPartition(PartitionName)]).Partitions[0])
            : disk;
        LuksHeader header = LuksFormat.Create(place, new LuksFormatParameters
        {
            SectorByteSize = options.SectorByteCount,
            Label = options.Label,
            OverwriteKeyslotsArea = false,
        }, volumeKey);
        header.Update(edit => AddKeys(edit, header, options, volumeKey, wrapped, recoveryKey));
        using LuksVolumeDevice volume = LuksVolumeDevice.Open(header, volumeKey, place);
        if (options.WithFileSystem)
        {
            Ext4Formatter.Format(volume, new Ext4FormatOptions
            {
                Label = options.Label,
                MetadataChecksumSeed = options.FileSystemFeatures.HasFlag(FileSystemFeatures.MetadataChecksumSeed),
                OrphanFile = options.FileSystemFeatures.HasFlag(FileSystemFeatures.OrphanFile),
                RootUserId = options.OwnerUserId,
                RootGroupId = options.OwnerGroupId,
            });
        }

        volume.Flush();
        return header.Uuid;
    }

    private static void AddKeys(
        LuksHeaderEdit edit, LuksHeader header, VolumeCreationOptions options, SecretMemory volumeKey,
        List<WrappedKey> wrapped, SecretMemory? recoveryKey)
    {
        foreach (SecretMemory secret in options.Secrets)
        {
            LuksKdf kdf = options.UseArgon2 ? LuksKdf.MeasureArgon2id(options.IterationTimeMs) : LuksKdf.MeasurePbkdf2(options.IterationTimeMs);
            edit.AddKeyslot(volumeKey, secret.Span, kdf);
        }

        foreach (WrappedKey key in wrapped)
        {
            int keyslot = edit.AddKeyslot(volumeKey, key.Secret.Span, LuksKdf.ForRandomSecret);
            edit.AddToken(new KekToken([keyslot], key.Wrapped).ToJson());
        }

        if (recoveryKey is not null)
        {
            edit.AddKeyslot(volumeKey, recoveryKey.Span, LuksKdf.ForRandomSecret);
        }

        AuthenticationToken.Seal(edit, header, volumeKey);
    }

    private sealed record WrappedKey(SecretMemory Secret, WrappedSecret Wrapped);
}
