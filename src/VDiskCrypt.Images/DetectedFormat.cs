namespace VDiskCrypt.Images;

/// <summary>What a file was recognised as.</summary>
/// <param name="Format">The format of the file.</param>
/// <param name="Name">How people call it: "VHDX", "qcow2", "raw".</param>
/// <param name="Content">What a raw file holds; Unknown for the other formats, whose disk has to be opened first.</param>
public sealed record DetectedFormat(ImageFormat Format, string Name, DiskContent Content);
