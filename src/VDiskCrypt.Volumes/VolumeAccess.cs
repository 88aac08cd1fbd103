namespace VDiskCrypt.Volumes;

/// <summary>How a volume is opened. Writers exclude everybody else, readers exclude writers.</summary>
public enum VolumeAccess
{
    /// <summary>The header alone, without a lock: for looking at an image that may be in use.</summary>
    Inspect,
    ReadOnly,
    ReadWrite,
}
