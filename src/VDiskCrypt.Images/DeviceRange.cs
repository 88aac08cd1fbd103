using VDiskCrypt.Core;

namespace VDiskCrypt.Images;

/// <summary>The checks that every device of this room makes at its public face.</summary>
internal static class DeviceRange
{
    /// <summary>A request outside the device is a defect of the caller: users cannot cause it.</summary>
    public static void Check(long byteOffset, long byteCount, long deviceByteLength, string name)
    {
        if (byteOffset < 0 || byteCount < 0 || byteOffset > deviceByteLength - byteCount)
        {
            throw new VDiskException(
                FailureKind.Internal,
                $"a request for {byteCount} bytes at {byteOffset} leaves the device of {deviceByteLength} bytes", name);
        }
    }

    public static void CheckWritable(bool isReadOnly, string name)
    {
        if (isReadOnly)
        {
            throw new VDiskException(
                FailureKind.ReadOnly, "the image is open for reading only", name, "open it for writing");
        }
    }
}
