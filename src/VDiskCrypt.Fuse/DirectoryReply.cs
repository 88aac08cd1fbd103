using System.Runtime.InteropServices;
using VDiskCrypt.Core;
using VDiskCrypt.Interop.Linux.Fuse;
using static VDiskCrypt.Interop.Linux.Fuse.FuseStructs;

namespace VDiskCrypt.Fuse;

/// <summary>Writes directory entries as READDIR (struct fuse_dirent) or READDIRPLUS (struct fuse_direntplus) wants them.</summary>
internal sealed unsafe class DirectoryReply : IDirectorySink
{
    private byte* _start;
    private int _capacity;
    private FuseOperations? _attributesFor;

    public int ByteCount { get; private set; }

    /// <summary>Whether the entries written carry references (READDIRPLUS).</summary>
    public bool HasReferences => _attributesFor is not null && ByteCount > 0;

    public void Clear()
    {
        ByteCount = 0;
        _attributesFor = null;
    }

    /// <param name="attributesFor">Whose node numbers the attributes take, or null for names alone.</param>
    public void Start(byte* start, int capacity, FuseOperations? attributesFor)
    {
        _start = start;
        _capacity = capacity;
        _attributesFor = attributesFor;
        ByteCount = 0;
    }

    public bool TryAdd(ReadOnlySpan<byte> name, ulong inode, uint type, ulong nextCookie, in InodeAttributes attributes)
    {
        int headByteCount = _attributesFor is null ? sizeof(fuse_dirent) : sizeof(fuse_direntplus);
        int byteCount = (headByteCount + name.Length + 7) & ~7;
        if (byteCount > _capacity - ByteCount)
        {
            return false;
        }

        byte* record = _start + ByteCount;
        NativeMemory.Clear(record, (nuint)byteCount);
        if (_attributesFor is not null)
        {
            // A node of 0 tells the kernel that this entry carries no reference: so it must be with "." and "..".
            if (!IsSelfOrParent(name))
            {
                _attributesFor.WriteEntry(ref ((fuse_direntplus*)record)->entry_out, attributes);
            }

            record += sizeof(fuse_entry_out);
        }

        ref fuse_dirent entry = ref *(fuse_dirent*)record;
        entry.ino = inode;
        entry.off = nextCookie;
        entry.namelen = (uint)name.Length;
        entry.type = (type & UnixMode.TypeMask) >> 12;
        name.CopyTo(new Span<byte>(record + sizeof(fuse_dirent), name.Length));
        ByteCount += byteCount;
        return true;
    }

    /// <summary>Gives back every reference that the entries carry: the kernel did not take the reply.</summary>
    public void DropReferences(FuseOperations operations)
    {
        for (int i = 0; i < ByteCount;)
        {
            ref fuse_direntplus record = ref *(fuse_direntplus*)(_start + i);
            if (record.entry_out.nodeid != 0)
            {
                operations.DropReference(record.entry_out.nodeid);
            }

            i += (sizeof(fuse_direntplus) + (int)record.dirent.namelen + 7) & ~7;
        }

        Clear();
    }

    private static bool IsSelfOrParent(ReadOnlySpan<byte> name) =>
        name is [(byte)'.'] or [(byte)'.', (byte)'.'];
}
