using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using VDiskCrypt.Interop.Linux;

namespace VDiskCrypt.Core;

/// <summary>Opening on Linux, and what a file's identity is.</summary>
public sealed unsafe partial class HostFile
{
    /// <summary>rw for the owner alone: an image holds what its owner wants nobody else to read.</summary>
    private const uint CreateMode = 0x180;

    /// <summary>Makes a new name durable: fsync of the folder that holds <paramref name="path"/>. Nothing to do on Windows.</summary>
    public static void FsyncDirectory(string path)
    {
        if (OperatingSystem.IsWindows())
        {
            return;
        }

        string folder = Path.GetDirectoryName(Path.GetFullPath(path)) ?? "/";
        using SafeFileHandle handle = OpenDescriptor(folder, Libc.O_RDONLY | Libc.O_CLOEXEC, 0, "open the folder");
        while (Libc.fsync(handle) != 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            if (errno is Errno.EINVAL or Errno.EOPNOTSUPP)
            {
                // Some network and FUSE filesystems have no fsync for folders: names there are durable by other means.
                return;
            }

            if (errno != Errno.EINTR)
            {
                throw HostError.FromErrno(errno, "flush the folder", folder);
            }
        }
    }

    /// <summary>
    /// Gives a finished file its name, durably, and never takes the name from another file. NOTE: File.Move with overwrite
    /// false looks first and renames then, so of two at once the second replaces what the first has made.
    /// </summary>
    /// <exception cref="VDiskException">Usage where the name exists.</exception>
    public static void Publish(string partialPath, string path)
    {
        if (OperatingSystem.IsWindows())
        {
            Translated(path, () =>
            {
                File.Move(partialPath, path, overwrite: false);
                return true;
            });
            return;
        }

        if (Libc.renameat2(Libc.AT_FDCWD, partialPath, Libc.AT_FDCWD, path, Libc.RENAME_NOREPLACE) != 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            if (errno is not (Errno.EINVAL or Errno.ENOSYS))
            {
                throw HostError.FromErrno(errno, "give the file its name", path);
            }

            // A filesystem that cannot do it in one step.
            Translated(path, () =>
            {
                File.Move(partialPath, path, overwrite: false);
                return true;
            });
        }

        FsyncDirectory(path);
    }

    /// <summary>Device and inode number, which name the file whatever its path; used to find who holds it.</summary>
    internal (uint DeviceMajor, uint DeviceMinor, ulong Inode) Identity()
    {
        statx_t status = Status(_handle, Name);
        return (status.stx_dev_major, status.stx_dev_minor, status.stx_ino);
    }

    private static HostFile OpenLinux(string path, HostFileMode mode)
    {
        // O_NONBLOCK: opening a pipe without a writer would wait for ever; on files and disks it has no effect.
        int flags = Libc.O_CLOEXEC | Libc.O_NONBLOCK | mode switch
        {
            HostFileMode.ReadOnly => Libc.O_RDONLY,
            HostFileMode.ReadWrite => Libc.O_RDWR,
            _ => Libc.O_RDWR | Libc.O_CREAT | Libc.O_EXCL,
        };
        SafeFileHandle handle = OpenDescriptor(path, flags, CreateMode, mode == HostFileMode.CreateNew ? "create" : "open");
        try
        {
            uint type = Status(handle, path).stx_mode & Libc.S_IFMT;
            if (type is not (Libc.S_IFREG or Libc.S_IFBLK))
            {
                throw new VDiskException(
                    FailureKind.Usage, "neither a regular file nor a block device", path, "name an image file");
            }

            var file = new HostFile(path, handle, mode == HostFileMode.ReadOnly) { IsBlockDevice = type == Libc.S_IFBLK };
            if (file.IsBlockDevice)
            {
                int sectorByteSize = 0;
                if (Libc.ioctl_block(handle, Libc.BLKSSZGET, &sectorByteSize) == 0 && sectorByteSize >= 512)
                {
                    file.SectorByteSize = sectorByteSize;
                }
            }

            return file;
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    private static SafeFileHandle OpenDescriptor(string path, int flags, uint mode, string action)
    {
        while (true)
        {
            int fd = Libc.open(path, flags, mode);
            if (fd >= 0)
            {
                return new SafeFileHandle(fd, ownsHandle: true);
            }

            int errno = Marshal.GetLastPInvokeError();
            if (errno != Errno.EINTR)
            {
                throw HostError.FromErrno(errno, action, path);
            }
        }
    }

    private static statx_t Status(SafeFileHandle handle, string name)
    {
                if (Libc.statx(handle, "", Libc.AT_EMPTY_PATH, Libc.STATX_BASIC_STATS, out statx_t status) != 0)
        {
            throw HostError.FromErrno(Marshal.GetLastPInvokeError(), "look at the file", name);
        }

        return status;
    }

    private long DeviceLength()
    {
        long byteLength = 0;
        if (Libc.ioctl_block(_handle, Libc.BLKGETSIZE64, &byteLength) != 0)
        {
            throw HostError.FromErrno(Marshal.GetLastPInvokeError(), "ask for the size of the device", Name);
        }

        return byteLength;
    }
}
