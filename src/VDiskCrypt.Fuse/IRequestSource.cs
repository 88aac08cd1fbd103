namespace VDiskCrypt.Fuse;

/// <summary>Where a worker gets its requests from: a descriptor of /dev/fuse or a ring. Used by one worker.</summary>
internal interface IRequestSource : IDisposable
{
    /// <summary>
    /// Waits for a request and serves it, between <see cref="Worker.Enter"/> and <see cref="Worker.Leave"/>.
    /// </summary>
    /// <returns>False when the connection has ended.</returns>
    bool TryServe(Worker worker);
}
