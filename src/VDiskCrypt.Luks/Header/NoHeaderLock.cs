namespace VDiskCrypt.Luks;

/// <summary>For devices that nobody else can open.</summary>
internal sealed class NoHeaderLock : IHeaderLock, IDisposable
{
    public static readonly NoHeaderLock Instance = new();

    public IDisposable AcquireShared() => this;

    public IDisposable AcquireExclusive() => this;

    public void Dispose()
    {
    }
}
