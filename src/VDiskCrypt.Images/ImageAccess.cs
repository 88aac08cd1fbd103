namespace VDiskCrypt.Images;

/// <summary>What an image is opened for.</summary>
public enum ImageAccess
{
    ReadOnly,

    /// <summary>Read-only and without a lock: to look at an image that may be in use.</summary>
    Inspect,
    ReadWrite,
}
