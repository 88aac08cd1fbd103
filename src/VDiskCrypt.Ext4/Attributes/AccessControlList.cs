namespace VDiskCrypt.Ext4.Attributes;

/// <summary>
/// A POSIX access control list and how it and the permission bits of a mode follow each other. Source: POSIX 1003.1e
/// draft 17, section 23; acl(5).
/// </summary>
internal sealed class AccessControlList
{
    private const uint PermissionBits = 7;
    private const uint ModeBits = 0x1FF;
    private const int UserShift = 6;
    private const int GroupShift = 3;

    private readonly AccessControlEntry[] _entries;

    private AccessControlList(AccessControlEntry[] entries) => _entries = entries;

    public ReadOnlySpan<AccessControlEntry> Entries => _entries;

    /// <summary>Whether the list says no more than a mode can.</summary>
    public bool IsMode => _entries.Length == 3;

    /// <summary>The list of these entries; null when they are no valid list.</summary>
    public static AccessControlList? TryMake(AccessControlEntry[]? entries) =>
        entries is not null && IsValid(entries) ? new AccessControlList(entries) : null;

    public AccessControlList Copy() => new([.. _entries]);

    /// <summary>The mode with the permissions that the list gives: the mask, if there is one, stands for the group.</summary>
    public uint ApplyTo(uint mode) =>
        mode & ~ModeBits | (uint)this[AccessControlEntry.UserObject].Permissions << UserShift
        | (uint)GroupClass.Permissions << GroupShift | this[AccessControlEntry.Other].Permissions;

    /// <summary>chmod: owner, group class and others take the permissions of the mode.</summary>
    public void SetMode(uint mode)
    {
        this[AccessControlEntry.UserObject].Permissions = (ushort)(mode >> UserShift & PermissionBits);
        GroupClass.Permissions = (ushort)(mode >> GroupShift & PermissionBits);
        this[AccessControlEntry.Other].Permissions = (ushort)(mode & PermissionBits);
    }

    /// <summary>An inherited list gives no more than the creating call asked for (draft 17, 23.1.2).</summary>
    public void Restrict(uint mode)
    {
        this[AccessControlEntry.UserObject].Permissions &= (ushort)(mode >> UserShift & PermissionBits);
        GroupClass.Permissions &= (ushort)(mode >> GroupShift & PermissionBits);
        this[AccessControlEntry.Other].Permissions &= (ushort)(mode & PermissionBits);
    }

    private ref AccessControlEntry GroupClass
    {
        get
        {
            int mask = Array.FindIndex(_entries, entry => entry.Tag == AccessControlEntry.Mask);
            return ref mask >= 0 ? ref _entries[mask] : ref this[AccessControlEntry.GroupObject];
        }
    }

    /// <summary>The entry of a tag that every valid list has.</summary>
    private ref AccessControlEntry this[ushort tag] => ref _entries[Array.FindIndex(_entries, entry => entry.Tag == tag)];

    /// <summary>
    /// Owner, users, owning group, groups, mask, others, in this order; the mask is there if a user or a group is named, and
    /// may be there otherwise.
    /// </summary>
    private static bool IsValid(ReadOnlySpan<AccessControlEntry> entries)
    {
        int next = 0;
        if (!Take(entries, ref next, AccessControlEntry.UserObject))
        {
            return false;
        }

        int named = TakeNamed(entries, ref next, AccessControlEntry.User);
        if (!Take(entries, ref next, AccessControlEntry.GroupObject))
        {
            return false;
        }

        named += TakeNamed(entries, ref next, AccessControlEntry.Group);
        bool hasMask = Take(entries, ref next, AccessControlEntry.Mask);
        if (named > 0 && !hasMask || !Take(entries, ref next, AccessControlEntry.Other) || next != entries.Length)
        {
            return false;
        }

        foreach (AccessControlEntry entry in entries)
        {
            if (entry.Permissions > PermissionBits
                || AccessControlEntry.HasId(entry.Tag) && entry.Id == AccessControlEntry.NoId)
            {
                return false;
            }
        }

        return true;
    }

    private static bool Take(ReadOnlySpan<AccessControlEntry> entries, ref int next, ushort tag)
    {
        if (next >= entries.Length || entries[next].Tag != tag)
        {
            return false;
        }

        next++;
        return true;
    }

    private static int TakeNamed(ReadOnlySpan<AccessControlEntry> entries, ref int next, ushort tag)
    {
        int count = 0;
        while (Take(entries, ref next, tag))
        {
            count++;
        }

        return count;
    }
}
