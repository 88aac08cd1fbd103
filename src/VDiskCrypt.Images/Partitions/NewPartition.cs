namespace VDiskCrypt.Images;

/// <summary>A partition to be made.</summary>
/// <param name="Name">Up to 36 UTF-16 units.</param>
/// <param name="ByteLength">The size, rounded up to whole MiB; null takes what is left, for the last one only.</param>
/// <param name="TypeId">The partition type GUID; null is that of LUKS.</param>
public sealed record NewPartition(string Name, long? ByteLength = null, Guid? TypeId = null);
