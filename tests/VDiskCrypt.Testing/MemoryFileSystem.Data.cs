using VDiskCrypt.Core;

namespace VDiskCrypt.Testing;

/// <summary>Contents of files, directories and symbolic links.</summary>
public sealed partial class MemoryFileSystem
{
    public FileSystemError ReadLink(ulong inode, Span<byte> target, out int byteCount)
    {
        _lock.EnterReadLock();
        try
        {
            byteCount = 0;
            if (!_inodes.TryGetValue(inode, out MemoryInode? node))
            {
                return FileSystemError.StaleInode;
            }

            if (!UnixMode.IsSymbolicLink(node.Mode))
            {
                return FileSystemError.InvalidArgument;
            }

            if (node.LinkTarget.Length > target.Length)
            {
                return FileSystemError.RangeTooSmall;
            }

            node.LinkTarget.CopyTo(target);
            byteCount = node.LinkTarget.Length;
            return FileSystemError.None;
        }
        finally
        {
            _lock.ExitReadLock();
        }
    }

    public FileSystemError ReadDirectory(ulong directory, ulong cookie, bool withAttributes, IDirectorySink sink)
    {
        _lock.EnterWriteLock();
        try
        {
            if (!_inodes.TryGetValue(directory, out MemoryInode? node))
            {
                return FileSystemError.StaleInode;
            }

            if (node.Directory is null)
            {
                return FileSystemError.NotDirectory;
            }

            if ((cookie < 1 && !sink.TryAdd("."u8, directory, UnixMode.Directory, 1, default))
                || (cookie < 2 && !sink.TryAdd(".."u8, node.Directory.Parent, UnixMode.Directory, 2, default)))
            {
                return FileSystemError.None;
            }

            foreach (MemoryDirectory.Entry entry in node.Directory.From(Math.Max(cookie + 1, MemoryDirectory.FirstCookie)))
            {
                if (entry.Name is null)
                {
                    continue;
                }

                MemoryInode child = _inodes[entry.Inode];
                InodeAttributes attributes = withAttributes ? child.ToAttributes() : default;
                if (!sink.TryAdd(entry.Name, entry.Inode, child.Mode & UnixMode.TypeMask, entry.Cookie, attributes))
                {
                    break;
                }

                child.ReferenceCount += withAttributes ? 1u : 0u;
            }

            return FileSystemError.None;
        }
        finally
        {
            _lock.ExitWriteLock();
        }
    }

    public FileSystemError Read(ulong inode, long byteOffset, Span<byte> destination, out int byteCount)
    {
        Reading?.Invoke(inode, byteOffset, destination.Length);
        _lock.EnterReadLock();
        try
        {
            byteCount = 0;
            FileSystemError error = FindRegular(inode, out MemoryInode node);
            if (error != FileSystemError.None || byteOffset >= node.Size)
            {
                return error;
            }

            byteCount = (int)Math.Min(destination.Length, node.Size - byteOffset);
            for (int done = 0; done < byteCount;)
            {
                long block = (byteOffset + done) / BlockByteCount;
                int start = (int)((byteOffset + done) % BlockByteCount);
                int length = Math.Min(BlockByteCount - start, byteCount - done);
                Span<byte> part = destination.Slice(done, length);
                if (node.Blocks.TryGetValue(block, out byte[]? bytes))
                {
                    bytes.AsSpan(start, length).CopyTo(part);
                }
                else
                {
                    part.Clear();
                }

                done += length;
            }

            return FileSystemError.None;
        }
        finally
        {
            _lock.ExitReadLock();
        }
    }

    public FileSystemError Write(ulong inode, long byteOffset, ReadOnlySpan<byte> source, out int byteCount)
    {
        _lock.EnterWriteLock();
        try
        {
            byteCount = 0;
            FileSystemError error = IsReadOnly ? FileSystemError.ReadOnly : FindRegular(inode, out _);
            if (error != FileSystemError.None)
            {
                return error;
            }

            if (byteOffset > MaximumFileByteCount - source.Length)
            {
                return FileSystemError.FileTooBig;
            }

            MemoryInode node = _inodes[inode];
            while (byteCount < source.Length)
            {
                long block = (byteOffset + byteCount) / BlockByteCount;
                int start = (int)((byteOffset + byteCount) % BlockByteCount);
                int length = Math.Min(BlockByteCount - start, source.Length - byteCount);
                byte[]? bytes = FindOrAddBlock(node, block);
                if (bytes is null)
                {
                    error = FileSystemError.NoSpace;
                    break;
                }

                source.Slice(byteCount, length).CopyTo(bytes.AsSpan(start));
                byteCount += length;
            }

            if (byteCount > 0)
            {
                node.Size = Math.Max(node.Size, byteOffset + byteCount);
                Touch(node, modified: true);
            }

            return error;
        }
        finally
        {
            _lock.ExitWriteLock();
        }
    }

    public FileSystemError Allocate(ulong inode, AllocateFlags flags, long byteOffset, long byteCount)
    {
        _lock.EnterWriteLock();
        try
        {
            FileSystemError error = IsReadOnly ? FileSystemError.ReadOnly : FindRegular(inode, out _);
            if (error != FileSystemError.None)
            {
                return error;
            }

            if (byteOffset < 0 || byteCount <= 0
                || (flags.HasFlag(AllocateFlags.PunchHole) && flags != (AllocateFlags.PunchHole | AllocateFlags.KeepSize)))
            {
                return FileSystemError.InvalidArgument;
            }

            if (byteOffset > MaximumFileByteCount - byteCount)
            {
                return FileSystemError.FileTooBig;
            }

            MemoryInode node = _inodes[inode];
            if (flags.HasFlag(AllocateFlags.PunchHole) || flags.HasFlag(AllocateFlags.ZeroRange))
            {
                Zero(node, byteOffset, byteCount);
            }

            for (long block = byteOffset / BlockByteCount;
                !flags.HasFlag(AllocateFlags.PunchHole) && block * BlockByteCount < byteOffset + byteCount; block++)
            {
                if (FindOrAddBlock(node, block) is null)
                {
                    return FileSystemError.NoSpace;
                }
            }

            node.Size = flags.HasFlag(AllocateFlags.KeepSize) ? node.Size : Math.Max(node.Size, byteOffset + byteCount);
            Touch(node, modified: true);
            return FileSystemError.None;
        }
        finally
        {
            _lock.ExitWriteLock();
        }
    }

    public FileSystemError Seek(ulong inode, long byteOffset, SeekTarget target, out long found)
    {
        _lock.EnterReadLock();
        try
        {
            found = 0;
            FileSystemError error = FindRegular(inode, out MemoryInode node);
            if (error != FileSystemError.None)
            {
                return error;
            }

            if (byteOffset < 0 || byteOffset >= node.Size)
            {
                return FileSystemError.NoSuchOffset;
            }

            if (target == SeekTarget.Data)
            {
                long first = node.Blocks.Keys.Where(block => (block + 1) * BlockByteCount > byteOffset)
                    .DefaultIfEmpty(long.MaxValue / BlockByteCount).Min();
                found = Math.Max(byteOffset, first * BlockByteCount);
                return found < node.Size ? FileSystemError.None : FileSystemError.NoSuchOffset;
            }

            found = byteOffset;
            while (found < node.Size && node.Blocks.ContainsKey(found / BlockByteCount))
            {
                found = ((found / BlockByteCount) + 1) * BlockByteCount;
            }

            found = Math.Min(found, node.Size);
            return FileSystemError.None;
        }
        finally
        {
            _lock.ExitReadLock();
        }
    }

    private FileSystemError FindRegular(ulong inode, out MemoryInode node) =>
        !_inodes.TryGetValue(inode, out node!) ? FileSystemError.StaleInode
        : node.Directory is not null ? FileSystemError.IsDirectory
        : !UnixMode.IsRegular(node.Mode) ? FileSystemError.InvalidArgument
        : FileSystemError.None;

    private byte[]? FindOrAddBlock(MemoryInode node, long block)
    {
        if (node.Blocks.TryGetValue(block, out byte[]? bytes))
        {
            return bytes;
        }

        if (_blockCount >= _blockLimit)
        {
            return null;
        }

        _blockCount++;
        bytes = new byte[BlockByteCount];
        node.Blocks.Add(block, bytes);
        return bytes;
    }

    private FileSystemError Resize(MemoryInode node, long byteCount)
    {
        FileSystemError error = FindRegular(node.Inode, out _);
        if (error != FileSystemError.None)
        {
            return error;
        }

        if (byteCount is < 0 or > MaximumFileByteCount)
        {
            return FileSystemError.FileTooBig;
        }

        if (byteCount < node.Size)
        {
            Zero(node, byteCount, (node.Size + BlockByteCount - 1) / BlockByteCount * BlockByteCount - byteCount);
        }

        node.Size = byteCount;
        return FileSystemError.None;
    }

    /// <summary>Whole blocks become holes, parts of blocks become zeros.</summary>
    private void Zero(MemoryInode node, long byteOffset, long byteCount)
    {
        long end = byteOffset + byteCount;
        foreach (long block in node.Blocks.Keys.Where(
            block => (block + 1) * BlockByteCount > byteOffset && block * BlockByteCount < end).ToList())
        {
            long start = Math.Max(byteOffset, block * BlockByteCount) - (block * BlockByteCount);
            long stop = Math.Min(end, (block + 1) * BlockByteCount) - (block * BlockByteCount);
            if (start == 0 && stop == BlockByteCount)
            {
                node.Blocks.Remove(block);
                _blockCount--;
            }
            else
            {
                node.Blocks[block].AsSpan((int)start, (int)(stop - start)).Clear();
            }
        }
    }
}
