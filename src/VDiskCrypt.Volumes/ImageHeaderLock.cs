using VDiskCrypt.Core;
using VDiskCrypt.Luks;

namespace VDiskCrypt.Volumes;

/// <summary>cryptsetup's lock of a LUKS2 header, on the file of an image.</summary>
internal sealed class ImageHeaderLock(HostFile file) : IHeaderLock
{
    public IDisposable AcquireShared() => HeaderFlock.Acquire(file);

    public IDisposable AcquireExclusive() => HeaderFlock.Acquire(file);
}
