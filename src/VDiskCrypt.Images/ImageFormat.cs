namespace VDiskCrypt.Images;

/// <summary>The format of an image file.</summary>
public enum ImageFormat
{
    /// <summary>The bytes of the disk and nothing else; also a block device of the host.</summary>
    Raw,
    VhdFixed,
    VhdDynamic,
    VhdxFixed,
    VhdxDynamic,

    /// <summary>Recognised and not handled: qcow2, VMDK, VDI.</summary>
    Foreign,
}
