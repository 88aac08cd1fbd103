namespace VDiskCrypt.Fuse;

/// <summary>A mount of this program, as the kernel's table shows it.</summary>
/// <param name="MountPoint">Its absolute path.</param>
/// <param name="Source">The <see cref="FuseOptions.SourceName"/> it was mounted with.</param>
public sealed record FuseMount(string MountPoint, string Source);
