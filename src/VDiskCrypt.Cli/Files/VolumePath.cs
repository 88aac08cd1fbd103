using VDiskCrypt.Core;

namespace VDiskCrypt.Cli;

/// <summary>`IMAGE:/PATH`, or a path of the host where there is no such form.</summary>
internal readonly record struct VolumePath(string? Image, string Path)
{
    public bool IsInVolume => Image is not null;

    /// <summary>
    /// The first `:/` behind an existing file splits (IMAGE#N counts as its file), so that names with colons stay usable
    /// on both sides.
    /// </summary>
    public static VolumePath Parse(string text)
    {
        for (int colon = text.IndexOf(":/", StringComparison.Ordinal); colon > 0; colon = text.IndexOf(":/", colon + 1, StringComparison.Ordinal))
        {
            string image = text[..colon];
            int hash = image.LastIndexOf('#');
            if (File.Exists(image) || (hash > 0 && File.Exists(image[..hash])))
            {
                return new VolumePath(image, text[(colon + 1)..]);
            }
        }

        return new VolumePath(null, text);
    }

    public static VolumePath ParseInVolume(string text)
    {
        VolumePath path = Parse(text);
        return path.IsInVolume ? path : throw new VDiskException(FailureKind.NotFound, $"'{text}' names no file in an image", null,
            "write IMAGE:/PATH, where IMAGE is an existing image");
    }
}
