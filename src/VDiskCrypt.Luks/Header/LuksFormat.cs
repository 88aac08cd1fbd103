using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using VDiskCrypt.Core;
using VDiskCrypt.Crypto;

namespace VDiskCrypt.Luks;

/// <summary>Makes a new LUKS2 volume: header, empty keyslots area, one digest, one dynamic segment of aes-xts-plain64.</summary>
public static class LuksFormat
{
    private const int FillByteSize = 1 << 20;

    /// <summary>Writes the header of a new volume. It has no keyslot yet: add one before the volume key is gone.</summary>
    /// <param name="device">The device for the header; whatever it holds is lost.</param>
    /// <param name="parameters">What to make.</param>
    /// <param name="volumeKey">32 or 64 bytes: <see cref="AesXtsKey.Generate"/>.</param>
    /// <param name="headerLock">Kept for later updates as well.</param>
    /// <remarks>
    /// The order of writes: 1. the old header's places are overwritten, flush; 2. the keyslots area is filled, flush;
    /// 3. the primary copy, flush; 4. the secondary copy, flush.
    /// </remarks>
    public static LuksHeader Create(
        IBlockDevice device, LuksFormatParameters parameters, SecretMemory volumeKey, IHeaderLock? headerLock = null)
    {
        AesXtsKey.Require(volumeKey.Span);
        long keyslotsByteSize = RequireFitting(device, parameters);
        var binary = new BinaryHeader
        {
            HeaderByteSize = parameters.HeaderByteSize,
            SequenceId = 1,
            Label = LuksHeaderEdit.RequireLabel(parameters.Label),
            Subsystem = LuksHeaderEdit.RequireLabel(parameters.Subsystem),
            Uuid = (parameters.Uuid ?? Guid.NewGuid()).ToString("D"),
            Salt = RandomNumberGenerator.GetBytes(BinaryHeader.SaltByteCount),
        };
        JsonObject json = Describe(parameters, keyslotsByteSize, volumeKey);
        headerLock ??= NoHeaderLock.Instance;
        using IDisposable held = headerLock.AcquireExclusive();
        long keyslotsByteOffset = 2L * parameters.HeaderByteSize;
        device.WriteZeroes(0, keyslotsByteOffset);
        ForgetOldSecondaries(device, keyslotsByteOffset);
        device.Flush();
        if (parameters.OverwriteKeyslotsArea)
        {
            FillRandom(device, keyslotsByteOffset, keyslotsByteSize);
            device.Flush();
        }

        return LuksHeader.WriteFirst(device, headerLock, binary, json);
    }

    internal static void FillRandom(IBlockDevice device, long byteOffset, long byteLength)
    {
        using AlignedBuffer buffer = AlignedBuffer.Rent((int)Math.Min(byteLength, FillByteSize));
        while (byteLength > 0)
        {
            Span<byte> piece = buffer.Span[..(int)Math.Min(byteLength, buffer.Span.Length)];
            RandomNumberGenerator.Fill(piece);
            device.Write(byteOffset, piece);
            byteOffset += piece.Length;
            byteLength -= piece.Length;
        }
    }

    /// <summary>A secondary copy of an older, larger header would be found once the new primary is damaged.</summary>
    private static void ForgetOldSecondaries(IBlockDevice device, long fromByteOffset)
    {
        Span<byte> magic = stackalloc byte[Luks2Layout.SecondaryMagic.Length];
        for (long offset = Luks2Layout.SmallestHeaderByteSize; offset <= Luks2Layout.LargestHeaderByteSize; offset *= 2)
        {
            if (offset < fromByteOffset || device.ByteLength - offset < Luks2Layout.BinaryHeaderByteSize)
            {
                continue;
            }

            device.Read(offset, magic);
            if (magic.SequenceEqual(Luks2Layout.SecondaryMagic))
            {
                device.WriteZeroes(offset, Luks2Layout.BinaryHeaderByteSize);
            }
        }
    }

    /// <summary>Checks the parameters against each other and the device; returns the size of the keyslots area.</summary>
    private static long RequireFitting(IBlockDevice device, LuksFormatParameters parameters)
    {
        string? objection =
            !Luks2Layout.IsSectorByteSize(parameters.SectorByteSize) ? $"a sector size of {parameters.SectorByteSize} bytes"
            : parameters.HeaderByteSize < 0 || !Luks2Layout.IsHeaderByteSize((ulong)parameters.HeaderByteSize)
                ? $"a header size of {parameters.HeaderByteSize} bytes"
            : parameters.DataByteOffset < 0 || parameters.DataByteOffset % Luks2Layout.AreaAlignment != 0
                ? $"a data offset of {parameters.DataByteOffset} bytes, which is not a multiple of 4096"
            : parameters.DigestIterations is < Pbkdf2.LeastIterations or > Pbkdf2.MostIterations
                ? $"{parameters.DigestIterations} digest iterations"
            : null;
        if (objection is not null)
        {
            throw new VDiskException(FailureKind.Usage, $"a LUKS2 volume cannot have {objection}");
        }

        bool detached = parameters.DataByteOffset == 0;
        long end = detached ? Luks2Layout.DefaultDataByteOffset : parameters.DataByteOffset;
        long keyslotsByteSize = Math.Min(end - (2L * parameters.HeaderByteSize), Luks2Layout.LargestKeyslotsByteSize);
        if (keyslotsByteSize < KeyslotArea.AreaByteCount(64))
        {
            throw new VDiskException(
                FailureKind.Usage, $"a data offset of {parameters.DataByteOffset} bytes leaves no room for a keyslot", null,
                "use the default of 16 MiB");
        }

        long needed = detached ? (2L * parameters.HeaderByteSize) + keyslotsByteSize : end + parameters.SectorByteSize;
        if (device.ByteLength < needed)
        {
            throw new VDiskException(
                FailureKind.Usage, $"the device has {device.ByteLength} bytes, and a LUKS2 volume needs more than {end}", null,
                "make it larger");
        }

        return keyslotsByteSize;
    }

    private static JsonObject Describe(LuksFormatParameters parameters, long keyslotsByteSize, SecretMemory volumeKey)
    {
        byte[] salt = RandomNumberGenerator.GetBytes(Luks2Layout.SaltByteCount);
        var digest = new byte[SHA256.HashSizeInBytes];
        Pbkdf2.Derive(KdfHash.Sha256, volumeKey.Span, salt, parameters.DigestIterations, digest);
        var config = new JsonObject
        {
            ["json_size"] = Decimal(parameters.HeaderByteSize - Luks2Layout.BinaryHeaderByteSize),
            ["keyslots_size"] = Decimal(keyslotsByteSize),
        };
        if (parameters.AllowDiscards)
        {
            config["flags"] = new JsonArray((JsonNode)LuksFlag.AllowDiscards);
        }

        return new JsonObject
        {
            ["keyslots"] = new JsonObject(),
            ["tokens"] = new JsonObject(),
            ["segments"] = new JsonObject
            {
                ["0"] = new JsonObject
                {
                    ["type"] = "crypt",
                    ["offset"] = Decimal(parameters.DataByteOffset),
                    ["size"] = "dynamic",
                    ["iv_tweak"] = "0",
                    ["encryption"] = Luks2Layout.AesXtsPlain64,
                    ["sector_size"] = parameters.SectorByteSize,
                },
            },
            ["digests"] = new JsonObject
            {
                ["0"] = new JsonObject
                {
                    ["type"] = "pbkdf2",
                    ["keyslots"] = new JsonArray(),
                    ["segments"] = new JsonArray((JsonNode)"0"),
                    ["hash"] = "sha256",
                    ["iterations"] = parameters.DigestIterations,
                    ["salt"] = Convert.ToBase64String(salt),
                    ["digest"] = Convert.ToBase64String(digest),
                },
            },
            ["config"] = config,
        };
    }

    private static string Decimal(long value) => value.ToString(CultureInfo.InvariantCulture);
}
