namespace VDiskCrypt.Ext4.Attributes;

/// <summary>One entry of an access control list.</summary>
/// <param name="Tag">Whom it is about; values of linux/posix_acl.h.</param>
/// <param name="Permissions">Read 4, write 2, execute 1.</param>
/// <param name="Id">The user or the group of an entry that names one.</param>
internal record struct AccessControlEntry(ushort Tag, ushort Permissions, uint Id)
{
    public const ushort UserObject = 0x01;
    public const ushort User = 0x02;
    public const ushort GroupObject = 0x04;
    public const ushort Group = 0x08;
    public const ushort Mask = 0x10;
    public const ushort Other = 0x20;

    /// <summary>ACL_UNDEFINED_ID.</summary>
    public const uint NoId = uint.MaxValue;

    public static bool HasId(ushort tag) => tag is User or Group;
}
