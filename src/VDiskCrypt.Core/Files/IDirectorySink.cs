namespace VDiskCrypt.Core;

/// <summary>Takes directory entries until it is full.</summary>
public interface IDirectorySink
{
    /// <summary>
    /// Takes one entry. <paramref name="nextCookie"/> resumes the listing behind it. <paramref name="attributes"/> are
    /// filled only where the caller of <see cref="IFileSystem.ReadDirectory"/> asked for them, and then, "." and ".."
    /// excepted, an accepted entry counts as a reference to the inode.
    /// </summary>
    /// <returns>False when it did not fit: the listing stops before this entry.</returns>
    bool TryAdd(ReadOnlySpan<byte> name, ulong inode, uint type, ulong nextCookie, in InodeAttributes attributes);
}
