namespace VDiskCrypt.Luks;

/// <summary>Names of the persistent flags in a header (section 3.6) that this program acts on.</summary>
public static class LuksFlag
{
    /// <summary>Discards may pass through to the image: an observer then sees which blocks are free.</summary>
    public const string AllowDiscards = "allow-discards";
}
