namespace VDiskCrypt.Fuse;

/// <summary>What a thread of a queue of FUSE over io_uring is for.</summary>
internal enum RingRole
{
    /// <summary>Pinned to the queue's processor, beside the program that waits for it: the fast path.</summary>
    Resident,

    /// <summary>Takes what comes while the resident is busy, on whichever processor is free.</summary>
    Spare,

    /// <summary>Added because all the others of the queue do not move.</summary>
    Relief,
}
