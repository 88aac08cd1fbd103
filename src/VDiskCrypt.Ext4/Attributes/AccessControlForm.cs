using VDiskCrypt.Ext4.OnDisk;

namespace VDiskCrypt.Ext4.Attributes;

/// <summary>
/// The two forms of an access control list. The kernel's interface (linux/posix_acl_xattr.h): version 2, then entries of
/// tag, permissions, id, 8 bytes each. On disk (Linux Documentation/filesystems/ext4/attributes.rst, "POSIX ACLs"):
/// version 1, then entries that have an id, 4 bytes more, only where they name a user or a group.
/// </summary>
internal static class AccessControlForm
{
    public const int HeaderByteLength = 4;
    private const uint InterfaceVersion = 2;
    private const uint DiskVersion = 1;
    private const int ShortEntryByteLength = 4;
    private const int EntryByteLength = 8;

    /// <summary>Parses what a caller gives; null when it has not the form.</summary>
    public static AccessControlEntry[]? ReadInterface(ReadOnlySpan<byte> value)
    {
        if (value.Length < HeaderByteLength || value.U32(0) != InterfaceVersion
            || (value.Length - HeaderByteLength) % EntryByteLength != 0)
        {
            return null;
        }

        var entries = new AccessControlEntry[(value.Length - HeaderByteLength) / EntryByteLength];
        for (int i = 0; i < entries.Length; i++)
        {
            ReadOnlySpan<byte> raw = value[(HeaderByteLength + i * EntryByteLength)..];
            uint id = AccessControlEntry.HasId(raw.U16(0)) ? raw.U32(4) : AccessControlEntry.NoId;
            entries[i] = new AccessControlEntry(raw.U16(0), raw.U16(2), id);
        }

        return entries;
    }

    /// <summary>How long the interface's form of a list on disk is; negative when the list has not the form.</summary>
    public static int MeasureDisk(ReadOnlySpan<byte> stored)
    {
        if (stored.Length < HeaderByteLength || stored.U32(0) != DiskVersion)
        {
            return -1;
        }

        int count = 0;
        for (int position = HeaderByteLength; position < stored.Length; count++)
        {
            if (!TryReadDisk(stored, ref position, out _))
            {
                return -1;
            }
        }

        return HeaderByteLength + count * EntryByteLength;
    }

    /// <summary>Converts a list on disk that <see cref="MeasureDisk"/> accepted.</summary>
    public static void DiskToInterface(ReadOnlySpan<byte> stored, Span<byte> value)
    {
        value.SetU32(0, InterfaceVersion);
        int target = HeaderByteLength;
        for (int position = HeaderByteLength; position < stored.Length; target += EntryByteLength)
        {
            TryReadDisk(stored, ref position, out AccessControlEntry entry);
            value.SetU16(target, entry.Tag);
            value.SetU16(target + 2, entry.Permissions);
            value.SetU32(target + 4, entry.Id);
        }
    }

    /// <summary>Parses a list on disk; null when it has not the form.</summary>
    public static AccessControlEntry[]? ReadDisk(ReadOnlySpan<byte> stored)
    {
        int measure = MeasureDisk(stored);
        if (measure < 0)
        {
            return null;
        }

        var entries = new AccessControlEntry[(measure - HeaderByteLength) / EntryByteLength];
        int position = HeaderByteLength;
        for (int i = 0; i < entries.Length; i++)
        {
            TryReadDisk(stored, ref position, out entries[i]);
        }

        return entries;
    }

    public static byte[] WriteDisk(ReadOnlySpan<AccessControlEntry> entries)
    {
        int length = HeaderByteLength;
        foreach (AccessControlEntry entry in entries)
        {
            length += AccessControlEntry.HasId(entry.Tag) ? EntryByteLength : ShortEntryByteLength;
        }

        var bytes = new byte[length];
        Span<byte> rest = bytes;
        rest.SetU32(0, DiskVersion);
        rest = rest[HeaderByteLength..];
        foreach (AccessControlEntry entry in entries)
        {
            rest.SetU16(0, entry.Tag);
            rest.SetU16(2, entry.Permissions);
            if (AccessControlEntry.HasId(entry.Tag))
            {
                rest.SetU32(4, entry.Id);
            }

            rest = rest[(AccessControlEntry.HasId(entry.Tag) ? EntryByteLength : ShortEntryByteLength)..];
        }

        return bytes;
    }

    private static bool TryReadDisk(ReadOnlySpan<byte> stored, ref int position, out AccessControlEntry entry)
    {
        entry = default;
        ReadOnlySpan<byte> raw = stored[position..];
        if (raw.Length < ShortEntryByteLength)
        {
            return false;
        }

        ushort tag = raw.U16(0);
        bool hasId = AccessControlEntry.HasId(tag);
        bool isKnown = hasId || tag is AccessControlEntry.UserObject or AccessControlEntry.GroupObject
            or AccessControlEntry.Mask or AccessControlEntry.Other;
        if (!isKnown || hasId && raw.Length < EntryByteLength)
        {
            return false;
        }

        entry = new AccessControlEntry(tag, raw.U16(2), hasId ? raw.U32(4) : AccessControlEntry.NoId);
        position += hasId ? EntryByteLength : ShortEntryByteLength;
        return true;
    }
}
