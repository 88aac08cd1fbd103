using System.Text.Json.Nodes;

namespace VDiskCrypt.Luks;

/// <summary>
/// What the JSON of a header says, validated: types, bounds, references and overlaps (sections 3.1 to 3.6). Whatever is
/// structurally wrong is Damaged here; what is right but beyond this program is marked and refused at its use, so that
/// such a header can still be shown.
/// </summary>
internal sealed partial class LuksMetadata
{
    private LuksMetadata()
    {
    }

    public required IReadOnlyList<LuksKeyslot> Keyslots { get; init; }

    public required IReadOnlyList<LuksToken> Tokens { get; init; }

    public required IReadOnlyList<LuksSegment> Segments { get; init; }

    public required IReadOnlyList<LuksDigest> Digests { get; init; }

    /// <summary>Bytes of the keyslots area, which begins behind the second header copy.</summary>
    public required long KeyslotsByteSize { get; init; }

    /// <summary>Optional behaviour, such as allow-discards.</summary>
    public required IReadOnlyList<string> Flags { get; init; }

    /// <summary>Features that a reader must know.</summary>
    public required IReadOnlyList<string> Requirements { get; init; }

    /// <param name="root">The parsed JSON.</param>
    /// <param name="headerByteSize">Bytes of one header copy, from the binary header.</param>
    /// <param name="deviceByteLength">Bytes of the device that holds the header.</param>
    /// <param name="place">For messages.</param>
    public static LuksMetadata Parse(JsonObject root, int headerByteSize, long deviceByteLength, JsonPlace place)
    {
        var fields = new JsonFields(root, place);
        SortedDictionary<int, JsonFields> keyslotObjects = fields.NumberedObjects("keyslots");
        SortedDictionary<int, JsonFields> segmentObjects = fields.NumberedObjects("segments");
        HashSet<int> keyslotNumbers = [.. keyslotObjects.Keys];
        HashSet<int> segmentNumbers = [.. segmentObjects.Keys];
        List<LuksToken> tokens = [.. fields.NumberedObjects("tokens").Select(
            pair => ParseToken(pair.Key, pair.Value, keyslotNumbers))];
        List<LuksDigest> digests = [.. fields.NumberedObjects("digests").Select(
            pair => ParseDigest(pair.Key, pair.Value, keyslotNumbers, segmentNumbers))];
        List<LuksSegment> segments = [.. segmentObjects.Select(pair => ParseSegment(pair.Key, pair.Value))];
        List<LuksKeyslot> keyslots = [.. keyslotObjects.Select(pair => ParseKeyslot(pair.Key, pair.Value))];

        JsonFields config = fields.Object("config");
        long keyslotsByteSize = ParseKeyslotsByteSize(config, headerByteSize);
        RequireOrderedSegments(segments, digests, place["segments"]);
        RequireRoomBeforeData(segments, headerByteSize, keyslotsByteSize, config.Place["keyslots_size"]);
        RequireApartAreas(keyslots, headerByteSize, keyslotsByteSize, deviceByteLength, place["keyslots"]);
        return new LuksMetadata
        {
            Keyslots = keyslots,
            Tokens = tokens,
            Segments = segments,
            Digests = digests,
            KeyslotsByteSize = keyslotsByteSize,
            Flags = config.Has("flags") ? config.Texts("flags") : [],
            Requirements = ParseRequirements(config),
        };
    }

    private static long ParseKeyslotsByteSize(JsonFields config, int headerByteSize)
    {
        if (config.Number("json_size") != (ulong)(headerByteSize - Luks2Layout.BinaryHeaderByteSize))
        {
            throw config.Place["json_size"].Damaged("the size of the JSON area contradicts the binary header");
        }

        long keyslotsByteSize = config.Bytes("keyslots_size");
        return keyslotsByteSize <= Luks2Layout.LargestKeyslotsByteSize && keyslotsByteSize % Luks2Layout.AreaAlignment == 0
            ? keyslotsByteSize
            : throw config.Place["keyslots_size"].Damaged($"a keyslots area of {keyslotsByteSize} bytes");
    }

    private static IReadOnlyList<string> ParseRequirements(JsonFields config)
    {
        if (!config.Has("requirements"))
        {
            return [];
        }

        JsonFields requirements = config.Object("requirements");
        return requirements.Has("mandatory") ? requirements.Texts("mandatory") : [];
    }

    /// <summary>Numbers without gaps, regular segments before backups, no two overlapping, each encrypted one with a digest.</summary>
    private static void RequireOrderedSegments(List<LuksSegment> segments, List<LuksDigest> digests, JsonPlace place)
    {
        if (segments.Count == 0 || segments[0].IsBackup)
        {
            throw place.Damaged("there is no data segment");
        }

        long end = 0;
        bool inBackups = false;
        for (int i = 0; i < segments.Count; i++)
        {
            LuksSegment segment = segments[i];
            if (segment.Number != i || (inBackups && !segment.IsBackup))
            {
                throw place.Damaged("the segments are not numbered in order");
            }

            if (segment.Type == "crypt" && !digests.Exists(digest => digest.Segments.Contains(segment.Number)))
            {
                throw place.Damaged($"segment {segment.Number} has no digest");
            }

            inBackups = segment.IsBackup;
            if (inBackups)
            {
                continue;
            }

            if (segment.ByteOffset < end)
            {
                throw place.Damaged($"segment {segment.Number} overlaps the one before it");
            }

            end = segment.ByteLength is long length ? segment.ByteOffset + length : long.MaxValue;
        }
    }

    private static void RequireRoomBeforeData(
        List<LuksSegment> segments, int headerByteSize, long keyslotsByteSize, JsonPlace place)
    {
        // An offset of zero is a data device apart from the header.
        long firstData = segments.Where(segment => !segment.IsBackup).Min(segment => segment.ByteOffset);
        if (firstData != 0 && firstData < (2L * headerByteSize) + keyslotsByteSize)
        {
            throw place.Damaged("the keyslots area reaches into the data");
        }
    }

    private static void RequireApartAreas(
        List<LuksKeyslot> keyslots, int headerByteSize, long keyslotsByteSize, long deviceByteLength, JsonPlace place)
    {
        long reached = 2L * headerByteSize;
        long limit = Math.Min(reached + keyslotsByteSize, deviceByteLength);
        foreach (LuksKeyslot keyslot in keyslots.OrderBy(keyslot => keyslot.AreaByteOffset))
        {
            if (keyslot.AreaByteOffset < reached)
            {
                throw place[$"{keyslot.Number}.area"].Damaged("the area overlaps the header or another keyslot's area");
            }

            if (keyslot.AreaByteLength == 0 || keyslot.AreaByteOffset > limit
                || keyslot.AreaByteLength > limit - keyslot.AreaByteOffset)
            {
                throw place[$"{keyslot.Number}.area"].Damaged("the area is empty or ends outside the keyslots area or the device");
            }

            reached = keyslot.AreaByteOffset + keyslot.AreaByteLength;
        }
    }
}
