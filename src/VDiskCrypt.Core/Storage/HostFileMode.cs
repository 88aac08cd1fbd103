namespace VDiskCrypt.Core;

/// <summary>How a host file is opened.</summary>
public enum HostFileMode
{
    ReadOnly,
    ReadWrite,

    /// <summary>Made anew, readable and writable; refused where the name exists.</summary>
    CreateNew,
}
