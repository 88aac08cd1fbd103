using System.CommandLine;
using System.Text.Json.Nodes;
using VDiskCrypt.Core;
using VDiskCrypt.Images;
using VDiskCrypt.Luks;
using VDiskCrypt.Volumes;

namespace VDiskCrypt.Cli;

/// <summary>`info`: what an image says of itself without a secret.</summary>
internal sealed class InfoCommand
{
    private readonly Argument<string> _image = new("IMAGE") { Description = "the image, or IMAGE#N for its partition N" };

    public static Command Build()
    {
        var command = new Command("info", """
            show format, partitions, header, keyslots and KEKs; needs no secret
            Example: vdiskcrypt info disk.vhdx --json
            """);
        var info = new InfoCommand();
        command.Arguments.Add(info._image);
        command.SetBody(info.Run);
        return command;
    }

    private void Run(ParseResult parsed, Report report)
    {
        ImageReference reference = ImageReference.Parse(parsed.GetRequiredValue(_image));
        using ImageInspection image = ImageInspection.Open(reference);
        report.Notices(image.Notices);
        var lines = new List<string> { $"{reference.Path}: {image.Format}, {ByteSize.Format(image.ByteLength)}" };
        var partitions = new JsonArray();
        foreach (Partition partition in image.Partitions)
        {
            partitions.Add((JsonNode)new JsonObject
            {
                ["number"] = partition.Number,
                ["name"] = partition.Name,
                ["byteOffset"] = partition.ByteOffset,
                ["byteCount"] = partition.ByteLength,
                ["type"] = partition.TypeId.ToString(),
            });
            lines.Add($"partition {partition.Number}: {ByteSize.Format(partition.ByteLength)} at byte {partition.ByteOffset}, '{partition.Name}'");
        }

        var volumes = new JsonArray();
        foreach ((int? partition, LuksHeader header) in image.Volumes)
        {
            volumes.Add((JsonNode)Document(partition, header));
            lines.AddRange(Lines(partition, header));
        }

        report.Result(new JsonObject
        {
            ["image"] = reference.Path,
            ["format"] = image.Format,
            ["byteCount"] = image.ByteLength,
            ["partitions"] = partitions,
            ["volumes"] = volumes,
        }, lines);
    }

    private static IEnumerable<KekToken> KeksOf(LuksHeader header) =>
        header.Tokens.Select(token => KekToken.Parse(token.Content, token.Number)).OfType<KekToken>();

    private static JsonObject Document(int? partition, LuksHeader header) => new()
    {
        ["partition"] = partition,
        ["uuid"] = header.Uuid,
        ["label"] = header.Label,
        ["needsRepair"] = header.NeedsRepair,
        ["authenticated"] = HeaderAuthentication.IsPresent(header),
        ["segments"] = new JsonArray([.. header.Segments.Select(segment => new JsonObject
        {
            ["encryption"] = segment.Encryption,
            ["sectorByteSize"] = segment.SectorByteSize,
            ["byteOffset"] = segment.ByteOffset,
        })]),
        ["keyslots"] = new JsonArray([.. header.Keyslots.Select(keyslot => new JsonObject
        {
            ["number"] = keyslot.Number,
            ["type"] = keyslot.Type,
            ["kdf"] = keyslot.Kdf?.Type,
            ["keyBits"] = keyslot.KeyByteCount * 8,
        })]),
        ["tokens"] = new JsonArray([.. header.Tokens.Select(token => new JsonObject { ["number"] = token.Number, ["type"] = token.Type })]),
        ["keks"] = new JsonArray([.. KeksOf(header).Select(kek => new JsonObject
        {
            ["keyId"] = kek.Secret.KeyId,
            ["algorithm"] = kek.Secret.Algorithm,
            ["thumbprint"] = kek.Secret.Thumbprint,
            ["keyslots"] = new JsonArray([.. kek.Keyslots.Select(slot => (JsonNode)slot)]),
        })]),
        ["flags"] = new JsonArray([.. header.Flags.Select(flag => (JsonNode)flag)]),
        ["requirements"] = new JsonArray([.. header.Requirements.Select(name => (JsonNode)name)]),
    };

    private static IEnumerable<string> Lines(int? partition, LuksHeader header)
    {
        yield return $"volume {header.Uuid}{(partition is null ? "" : $" in partition {partition}")}{(header.Label.Length > 0 ? $", '{header.Label}'" : "")}, LUKS2, "
            + (HeaderAuthentication.IsPresent(header) ? "header authenticated" : "header not authenticated");
        foreach (LuksSegment segment in header.Segments)
        {
            yield return $"  data: {segment.Encryption}, sectors of {segment.SectorByteSize} bytes, from byte {segment.ByteOffset}";
        }

        foreach (LuksKeyslot keyslot in header.Keyslots)
        {
            yield return $"  keyslot {keyslot.Number}: {keyslot.Kdf?.Type ?? keyslot.Type}, key of {keyslot.KeyByteCount * 8} bits";
        }

        foreach (KekToken kek in KeksOf(header))
        {
            yield return $"  KEK {kek.Secret.KeyId} ({kek.Secret.Algorithm}) opens keyslot {string.Join(", ", kek.Keyslots)}";
        }
    }
}
