using System.Globalization;
using VDiskCrypt.Core;

namespace VDiskCrypt.Volumes;

/// <summary>`IMAGE` or `IMAGE#N`: an image and, where it has several volumes, the number of one partition, from 1.</summary>
public sealed record ImageReference(string Path, int? Partition)
{
    /// <summary>A file whose own name ends in #N is taken as that file.</summary>
    public static ImageReference Parse(string text)
    {
        int hash = text.LastIndexOf('#');
        if (hash > 0 && !File.Exists(text)
            && int.TryParse(text.AsSpan(hash + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int partition) && partition > 0)
        {
            return new ImageReference(System.IO.Path.GetFullPath(text[..hash]), partition);
        }

        return text.Length > 0 ? new ImageReference(System.IO.Path.GetFullPath(text), null)
            : throw new VDiskException(FailureKind.Usage, "an image is needed", null, "name an image file");
    }

    public override string ToString() => Partition is null ? Path : $"{Path}#{Partition}";
}
