namespace VDiskCrypt.Fuse;

/// <summary>Requests cannot come through io_uring here; the mount then does without.</summary>
internal sealed class RingUnavailableException(string message) : IOException(message);
