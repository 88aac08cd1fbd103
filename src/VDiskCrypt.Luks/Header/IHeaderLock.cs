namespace VDiskCrypt.Luks;

/// <summary>
/// The lock around header I/O, which lies outside the block device: cryptsetup's flock on the image file. Held for single
/// reads and updates only, never for the life of a mount (luksDump would hang). Dispose of what is returned releases it.
/// </summary>
public interface IHeaderLock
{
    IDisposable AcquireShared();

    IDisposable AcquireExclusive();
}
