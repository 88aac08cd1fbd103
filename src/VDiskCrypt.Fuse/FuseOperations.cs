using VDiskCrypt.Core;
using VDiskCrypt.Interop.Linux.Fuse;
using static VDiskCrypt.Interop.Linux.Fuse.FuseStructs;

namespace VDiskCrypt.Fuse;

/// <summary>
/// Carries out requests of the FUSE kernel protocol (linux/fuse.h) on a filesystem. Knows nothing of how requests come:
/// any number of transport threads call <see cref="Handle"/> at once, each with a request of its own.
/// </summary>
internal sealed partial class FuseOperations
{
    /// <summary>
    /// How long the kernel may keep names, the absence of names, and attributes: nobody else changes the filesystem,
    /// so only the kernel's own need for memory limits it.
    /// </summary>
    private const ulong CacheSeconds = 86_400;

    private readonly IFileSystem _fileSystem;
    private readonly FailureReport _failures;
    private readonly Action<ulong> _invalidateAttributes;
    private readonly bool _hasExtendedSetXattr;
    private readonly bool _writebackCache;

    /// <param name="fileSystem">What is served.</param>
    /// <param name="failures">Where failures are written that applications see as an errno.</param>
    /// <param name="agreed">The INIT flags that both sides agreed on.</param>
    /// <param name="invalidateAttributes">Has the kernel drop the attributes that it keeps of a node.</param>
    public FuseOperations(
        IFileSystem fileSystem, FailureReport failures, FuseInitFlags agreed, Action<ulong> invalidateAttributes)
    {
        _fileSystem = fileSystem;
        _invalidateAttributes = invalidateAttributes;
        _failures = failures;
        _hasExtendedSetXattr = agreed.HasFlag(FuseInitFlags.FUSE_SETXATTR_EXT);
        _writebackCache = agreed.HasFlag(FuseInitFlags.FUSE_WRITEBACK_CACHE);
    }

    /// <summary>The bytes of the first fixed argument of an operation: where its payload starts in a request from /dev/fuse.</summary>
    public int ArgumentByteCount(fuse_opcode opcode) =>
        opcode == fuse_opcode.FUSE_SETXATTR && !_hasExtendedSetXattr
            ? FuseConstants.FUSE_COMPAT_SETXATTR_IN_SIZE
            : FuseOperation.Find(opcode)?.ArgumentByteCount ?? 0;

    /// <summary>Serves one request; every failure ends as an errno in its reply.</summary>
    public void Handle(FuseRequest request, RequestCounters counters)
    {
        fuse_opcode opcode = request.Header.opcode;
        FuseOperation? operation = FuseOperation.Find(opcode);
        if (operation is null)
        {
            request.Fail(FuseErrno.ENOSYS);
        }
        else
        {
            try
            {
                operation.Handler(this, request, counters);
            }
            catch (Exception e)
            {
                FailureKind kind = (e as VDiskException)?.Kind ?? FailureKind.Internal;
                request.Fail(ErrnoTable.Of(kind));
                request.ReferencedInode = 0;
                counters.CountFailure();
                _failures.Add(e, opcode, ToInode(request.Header.nodeid));
            }
        }

        counters.CountOperation();
    }

    /// <summary>Takes back the references of a reply that the kernel did not take.</summary>
    public void UndoReferences(FuseRequest request)
    {
        if (request.ReferencedInode != 0)
        {
            _fileSystem.Forget(request.ReferencedInode, 1);
            request.ReferencedInode = 0;
        }

        if (request.Directory.HasReferences)
        {
            request.Directory.DropReferences(this);
        }
    }

    public void DropReference(ulong node) => _fileSystem.Forget(ToInode(node), 1);

    /// <summary>
    /// The kernel calls the root 1 whatever number the filesystem gives it; an inode that the filesystem itself calls
    /// 1 takes the root's number in exchange, so that the mapping is one to one both ways.
    /// </summary>
    private ulong ToInode(ulong node)
    {
        ulong root = _fileSystem.RootInode;
        return node == FuseConstants.FUSE_ROOT_ID ? root : node == root ? FuseConstants.FUSE_ROOT_ID : node;
    }

    /// <summary>The inverse of <see cref="ToInode"/>, which is its own inverse.</summary>
    private ulong ToNode(ulong inode) => ToInode(inode);

    private static ulong Inode(FuseOperations self, FuseRequest request) => self.ToInode(request.Header.nodeid);
}
