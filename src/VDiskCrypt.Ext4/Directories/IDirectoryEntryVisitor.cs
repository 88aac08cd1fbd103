namespace VDiskCrypt.Ext4.Directories;

/// <summary>Takes the entries of a listing.</summary>
internal interface IDirectoryEntryVisitor
{
    /// <param name="name">Valid during the call.</param>
    /// <param name="inode">Never 0.</param>
    /// <param name="fileType">The file_type on disk (<see cref="OnDisk.DirectoryEntryOnDisk"/>); 0 where it has none.</param>
    /// <param name="nextCookie">Resumes the listing behind this entry; never 0 and less than 2^63.</param>
    /// <returns>False when the entry was not taken: the listing ends before it.</returns>
    bool Visit(ReadOnlySpan<byte> name, uint inode, byte fileType, ulong nextCookie);
}
