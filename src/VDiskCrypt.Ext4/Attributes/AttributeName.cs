using VDiskCrypt.Core;

namespace VDiskCrypt.Ext4.Attributes;

/// <summary>
/// A full name as index and rest. Source: Linux Documentation/filesystems/ext4/attributes.rst, "name index".
/// </summary>
/// <remarks>
/// NOTE: the kernel shows and takes no "system." names but the two access control lists. Here others (index 7, as
/// debugfs sets them) can be read and removed, so that they are not lost unseen, but not set. "system.data" is where
/// inline data lies and no attribute.
/// </remarks>
internal readonly ref struct AttributeName
{
    public const byte UserIndex = 1;
    public const byte AccessListIndex = 2;
    public const byte DefaultListIndex = 3;
    public const byte TrustedIndex = 4;
    public const byte SecurityIndex = 6;
    public const byte SystemIndex = 7;

    /// <summary>XATTR_NAME_MAX.</summary>
    private const int MaximumByteLength = 255;

    private AttributeName(byte index, ReadOnlySpan<byte> suffix)
    {
        Index = index;
        Suffix = suffix;
    }

    /// <summary>The file capabilities, which go when the content changes.</summary>
    public static AttributeName Capability => new(SecurityIndex, "capability"u8);

    public static AttributeName AccessList => new(AccessListIndex, default);

    public static AttributeName DefaultList => new(DefaultListIndex, default);

    public byte Index { get; }

    /// <summary>What follows the prefix.</summary>
    public ReadOnlySpan<byte> Suffix { get; }

    public bool IsAccessControlList => Index is AccessListIndex or DefaultListIndex;

    public bool IsCapability => Index == SecurityIndex && Suffix.SequenceEqual("capability"u8);

    public static FileSystemError Parse(ReadOnlySpan<byte> fullName, out AttributeName name)
    {
        name = default;
        if (fullName.IsEmpty || fullName.Length > MaximumByteLength)
        {
            return FileSystemError.RangeTooSmall;
        }

        if (fullName.Contains((byte)0))
        {
            return FileSystemError.InvalidArgument;
        }

        for (byte index = UserIndex; index <= SystemIndex; index++)
        {
            ReadOnlySpan<byte> prefix = PrefixOf(index);
            bool isWhole = index is AccessListIndex or DefaultListIndex;
            if (prefix.IsEmpty || !(isWhole ? fullName.SequenceEqual(prefix) : fullName.StartsWith(prefix)))
            {
                continue;
            }

            name = new AttributeName(index, fullName[prefix.Length..]);
            return name.Suffix.IsEmpty && !isWhole ? FileSystemError.InvalidArgument
                : IsShown(index, name.Suffix) ? FileSystemError.None : FileSystemError.NotSupported;
        }

        return FileSystemError.NotSupported;
    }

    /// <summary>What an index stands for; empty for an index that has no name here.</summary>
    public static ReadOnlySpan<byte> PrefixOf(byte index) => index switch
    {
        UserIndex => "user."u8,
        AccessListIndex => "system.posix_acl_access"u8,
        DefaultListIndex => "system.posix_acl_default"u8,
        TrustedIndex => "trusted."u8,
        SecurityIndex => "security."u8,
        SystemIndex => "system."u8,
        _ => default,
    };

    /// <summary>Whether an entry on disk has a name for users.</summary>
    public static bool IsShown(byte index, ReadOnlySpan<byte> suffix) =>
        !PrefixOf(index).IsEmpty
        && (index is AccessListIndex or DefaultListIndex
            ? suffix.IsEmpty
            : !suffix.IsEmpty && !(index == SystemIndex && suffix.SequenceEqual("data"u8)));
}
