using VDiskCrypt.Core;
using VDiskCrypt.Interop.Linux.Fuse;
using static VDiskCrypt.Interop.Linux.Fuse.FuseStructs;

namespace VDiskCrypt.Fuse;

/// <summary>Attributes of inodes and of the filesystem.</summary>
internal sealed partial class FuseOperations
{
    private const uint NanosecondsPerSecond = 1_000_000_000;

    public static void GetAttributes(FuseOperations self, FuseRequest request, RequestCounters counters)
    {
        FileSystemError error = self._fileSystem.GetAttributes(Inode(self, request), out InodeAttributes attributes);
        self.ReplyAttributes(request, error, attributes);
    }

    public static void GetExtendedStatus(FuseOperations self, FuseRequest request, RequestCounters counters)
    {
        FileSystemError error = self._fileSystem.GetAttributes(Inode(self, request), out InodeAttributes attributes);
        if (error != FileSystemError.None)
        {
            request.Complete(error);
            return;
        }

        ref fuse_statx_out reply = ref request.SucceedWith<fuse_statx_out>();
        reply.attr_valid = CacheSeconds;
        ref fuse_statx stat = ref reply.stat;
        stat.mask = FuseConstants.STATX_BASIC_STATS | FuseConstants.STATX_BTIME;
        stat.blksize = attributes.BlockByteSize;
        stat.nlink = attributes.LinkCount;
        stat.uid = attributes.UserId;
        stat.gid = attributes.GroupId;
        stat.mode = (ushort)attributes.Mode;
        stat.ino = attributes.Inode;
        stat.size = (ulong)attributes.Size;
        stat.blocks = (ulong)attributes.Blocks512;
        stat.atime = ToStatxTime(attributes.AccessTime);
        stat.btime = ToStatxTime(attributes.BirthTime);
        stat.ctime = ToStatxTime(attributes.ChangeTime);
        stat.mtime = ToStatxTime(attributes.ModifyTime);
        stat.rdev_major = attributes.DeviceMajor;
        stat.rdev_minor = attributes.DeviceMinor;
    }

    public static void SetAttributes(FuseOperations self, FuseRequest request, RequestCounters counters)
    {
        if (!TryReadChange(request.ArgumentAs<fuse_setattr_in>(), out AttributeChange change))
        {
            request.Fail(FuseErrno.EINVAL);
            return;
        }

        ulong inode = Inode(self, request);
        InodeAttributes attributes = default;
        FileSystemError error = FileSystemError.None;
        if ((change.Fields & (AttributeFields.UserId | AttributeFields.GroupId)) != 0)
        {
            // With FUSE_HANDLE_KILLPRIV_V2 a change of owner takes the set-user-id and set-group-id bits away without
            // the kernel's asking for it, but never from a directory, where they mean something else.
            error = self._fileSystem.GetAttributes(inode, out attributes);
            change.Fields |= UnixMode.IsDirectory(attributes.Mode) ? 0 : AttributeFields.KillPrivileges;
        }

        error = error == FileSystemError.None
            ? self._fileSystem.SetAttributes(inode, change, out attributes)
            : error;
        self.ReplyAttributes(request, error, attributes);
    }

    public static void GetStatistics(FuseOperations self, FuseRequest request, RequestCounters counters)
    {
        FileSystemStatistics statistics = self._fileSystem.GetStatistics();
        ref fuse_kstatfs reply = ref request.SucceedWith<fuse_kstatfs>();
        reply.blocks = statistics.BlockCount;
        reply.bfree = statistics.FreeBlockCount;
        reply.bavail = statistics.AvailableBlockCount;
        reply.files = statistics.InodeCount;
        reply.ffree = statistics.FreeInodeCount;
        reply.bsize = statistics.BlockByteSize;
        reply.frsize = statistics.BlockByteSize;
        reply.namelen = statistics.MaximumNameByteCount;
    }

    /// <summary>
    /// Takes the set-user-id and set-group-id bits away. The replies to WRITE and FALLOCATE have no attributes, and the
    /// kernel goes on with the mode that it knows (its execve takes the privileges from there) until it is told.
    /// </summary>
    private FileSystemError DropPrivileges(FuseRequest request, ulong inode)
    {
        FileSystemError error = _fileSystem.GetAttributes(inode, out InodeAttributes before);
        if (error != FileSystemError.None || (before.Mode & (UnixMode.SetUserId | UnixMode.SetGroupId)) == 0)
        {
            return error;
        }

        var change = new AttributeChange { Fields = AttributeFields.KillPrivileges };
        error = _fileSystem.SetAttributes(inode, change, out InodeAttributes after);
        if (error == FileSystemError.None && after.Mode != before.Mode)
        {
            _invalidateAttributes(request.Header.nodeid);
        }

        return error;
    }

    /// <summary>Fills a zeroed entry.</summary>
    public void WriteEntry(ref fuse_entry_out entry, in InodeAttributes attributes)
    {
        entry.nodeid = ToNode(attributes.Inode);
        entry.generation = attributes.Generation;
        entry.entry_valid = CacheSeconds;
        entry.attr_valid = CacheSeconds;
        WriteAttributes(ref entry.attr, attributes);
    }

    private void ReplyAttributes(FuseRequest request, FileSystemError error, in InodeAttributes attributes)
    {
        if (error != FileSystemError.None)
        {
            request.Complete(error);
            return;
        }

        ref fuse_attr_out reply = ref request.SucceedWith<fuse_attr_out>();
        reply.attr_valid = CacheSeconds;
        WriteAttributes(ref reply.attr, attributes);
    }

    private static void WriteAttributes(ref fuse_attr attr, in InodeAttributes attributes)
    {
        attr.ino = attributes.Inode;
        attr.size = (ulong)attributes.Size;
        attr.blocks = (ulong)attributes.Blocks512;
        attr.atime = (ulong)attributes.AccessTime.Seconds;
        attr.mtime = (ulong)attributes.ModifyTime.Seconds;
        attr.ctime = (ulong)attributes.ChangeTime.Seconds;
        attr.atimensec = (uint)attributes.AccessTime.Nanoseconds;
        attr.mtimensec = (uint)attributes.ModifyTime.Nanoseconds;
        attr.ctimensec = (uint)attributes.ChangeTime.Nanoseconds;
        attr.mode = attributes.Mode;
        attr.nlink = attributes.LinkCount;
        attr.uid = attributes.UserId;
        attr.gid = attributes.GroupId;
        attr.rdev = (attributes.DeviceMinor & 0xFF) | ((attributes.DeviceMajor & 0xFFF) << 8)
            | ((attributes.DeviceMinor & 0xFFF00) << 12);
        attr.blksize = attributes.BlockByteSize;
    }

    private static bool TryReadChange(in fuse_setattr_in argument, out AttributeChange change)
    {
        change = default;
        uint valid = argument.valid;
        if (argument.size > long.MaxValue || argument.atimensec >= NanosecondsPerSecond
            || argument.mtimensec >= NanosecondsPerSecond || argument.ctimensec >= NanosecondsPerSecond)
        {
            return false;
        }

        AttributeFields fields = AttributeFields.None;
        fields |= (valid & FuseConstants.FATTR_MODE) != 0 ? AttributeFields.Mode : 0;
        fields |= (valid & FuseConstants.FATTR_UID) != 0 ? AttributeFields.UserId : 0;
        fields |= (valid & FuseConstants.FATTR_GID) != 0 ? AttributeFields.GroupId : 0;
        fields |= (valid & FuseConstants.FATTR_SIZE) != 0 ? AttributeFields.Size : 0;
        fields |= (valid & FuseConstants.FATTR_ATIME) != 0 ? AttributeFields.AccessTime : 0;
        fields |= (valid & FuseConstants.FATTR_MTIME) != 0 ? AttributeFields.ModifyTime : 0;
        fields |= (valid & FuseConstants.FATTR_CTIME) != 0 ? AttributeFields.ChangeTime : 0;
        fields |= (valid & FuseConstants.FATTR_KILL_SUIDGID) != 0 ? AttributeFields.KillPrivileges : 0;

        bool needsNow = (valid & (FuseConstants.FATTR_ATIME_NOW | FuseConstants.FATTR_MTIME_NOW)) != 0;
        UnixTime now = needsNow ? UnixTime.Now : default;
        change.Fields = fields;
        change.Mode = argument.mode;
        change.UserId = argument.uid;
        change.GroupId = argument.gid;
        change.Size = (long)argument.size;
        change.AccessTime = (valid & FuseConstants.FATTR_ATIME_NOW) != 0
            ? now : new UnixTime((long)argument.atime, (int)argument.atimensec);
        change.ModifyTime = (valid & FuseConstants.FATTR_MTIME_NOW) != 0
            ? now : new UnixTime((long)argument.mtime, (int)argument.mtimensec);
        change.ChangeTime = new UnixTime((long)argument.ctime, (int)argument.ctimensec);
        return true;
    }

    private static fuse_sx_time ToStatxTime(UnixTime time) =>
        new() { tv_sec = time.Seconds, tv_nsec = (uint)time.Nanoseconds };
}
