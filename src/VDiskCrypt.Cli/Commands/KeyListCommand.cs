using System.CommandLine;
using System.Text.Json.Nodes;
using VDiskCrypt.Luks;
using VDiskCrypt.Volumes;

namespace VDiskCrypt.Cli;

/// <summary>`key list`: the keyslots of an image's volumes, and which KEK guards which; needs no secret.</summary>
internal sealed class KeyListCommand
{
    private readonly Argument<string> _image = KeyCommand.ImageArgument();

    public static Command Build()
    {
        var command = new Command("list", """
            show the keyslots and the KEKs that guard them; needs no secret
            Example: vdiskcrypt key list disk.vhdx --json
            """);
        var list = new KeyListCommand();
        command.Arguments.Add(list._image);
        command.SetBody(list.Run);
        return command;
    }

    private void Run(ParseResult parsed, Report report)
    {
        ImageReference reference = ImageReference.Parse(parsed.GetRequiredValue(_image));
        using ImageInspection image = ImageInspection.Open(reference);
        report.Notices(image.Notices);
        var lines = new List<string>();
        var keys = new JsonArray();
        foreach ((int? partition, LuksHeader header) in image.Volumes)
        {
            lines.Add($"volume {header.Uuid}{(partition is null ? "" : $" in partition {partition}")}");
            List<KekToken> keks = [.. header.Tokens.Select(token => KekToken.Parse(token.Content, token.Number)).OfType<KekToken>()];
            foreach (LuksKeyslot keyslot in header.Keyslots)
            {
                string[] guards = [.. keks.Where(kek => kek.Keyslots.Contains(keyslot.Number)).Select(kek => kek.Secret.KeyId)];
                keys.Add((JsonNode)new JsonObject
                {
                    ["uuid"] = header.Uuid,
                    ["partition"] = partition,
                    ["keyslot"] = keyslot.Number,
                    ["kdf"] = keyslot.Kdf?.Type,
                    ["keks"] = new JsonArray([.. guards.Select(guard => (JsonNode)guard)]),
                });
                lines.Add($"  keyslot {keyslot.Number}: {keyslot.Kdf?.Type ?? keyslot.Type}, "
                    + (guards.Length > 0 ? $"guarded by {string.Join(", ", guards)}" : "passphrase, key file or recovery key"));
            }
        }

        report.Result(new JsonObject { ["image"] = reference.Path, ["keys"] = keys }, lines);
    }
}
