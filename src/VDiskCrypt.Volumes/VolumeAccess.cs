namespace VDiskCrypt.Volumes;

/// <summary>How a volume is opened. Writers exclude everybody else, readers exclude writers.</summary>
public enum VolumeAccess
{
    ReadOnly,
    ReadWrite,
}
