namespace VDiskCrypt.Images;

/// <summary>What an image is opened for.</summary>
public enum ImageAccess
{
    ReadOnly,
    ReadWrite,
}
