using System.Text.Json.Nodes;
using VDiskCrypt.Core;

namespace VDiskCrypt.Luks;

/// <summary>One of the two copies of the header as it was found, checksum and content already checked.</summary>
internal sealed record HeaderCopy(long ByteOffset, BinaryHeader? Binary, JsonObject? Json, LuksMetadata? Metadata, VDiskException? Failure)
{
    public bool IsValid => Failure is null;

    /// <summary>Reads the copy at an offset; a broken one is a value, an I/O error an exception.</summary>
    public static HeaderCopy Read(IBlockDevice device, long byteOffset, bool secondary)
    {
        string name = secondary ? "secondary LUKS2 header" : "primary LUKS2 header";
        if (device.ByteLength - byteOffset < Luks2Layout.SmallestHeaderByteSize)
        {
            return Broken(byteOffset, VDiskException.Damaged(name, byteOffset, "the device ends before it"));
        }

        Span<byte> start = stackalloc byte[BinaryHeader.MeaningfulByteCount];
        device.Read(byteOffset, start);
        BinaryHeader? binary = BinaryHeader.TryParse(start, secondary, byteOffset, out string objection);
        if (binary is null)
        {
            return Broken(byteOffset, VDiskException.Damaged(name, byteOffset, $"the header is damaged: {objection}"));
        }

        if (device.ByteLength - byteOffset < binary.HeaderByteSize)
        {
            return Broken(byteOffset, VDiskException.Damaged(name, byteOffset, "the device ends inside the header"));
        }

        var copy = new byte[binary.HeaderByteSize];
        device.Read(byteOffset, copy);
        // The device is read twice; what counts is what the checksum covers.
        binary = BinaryHeader.TryParse(copy, secondary, byteOffset, out objection);
        if (binary is null || binary.HeaderByteSize != copy.Length || !BinaryHeader.HasValidChecksum(copy))
        {
            return Broken(byteOffset, VDiskException.Damaged(name, byteOffset, "the header is damaged: its checksum does not fit"));
        }

        try
        {
            var place = new JsonPlace(name, byteOffset + Luks2Layout.BinaryHeaderByteSize);
            JsonObject json = JsonArea.Parse(copy.AsSpan(Luks2Layout.BinaryHeaderByteSize), place);
            var metadata = LuksMetadata.Parse(json, binary.HeaderByteSize, device.ByteLength, place);
            return new HeaderCopy(byteOffset, binary, json, metadata, null);
        }
        catch (VDiskException e)
        {
            return new HeaderCopy(byteOffset, binary, null, null, e);
        }
    }

    private static HeaderCopy Broken(long byteOffset, VDiskException failure) => new(byteOffset, null, null, null, failure);
}
