namespace VDiskCrypt.Images.Vhdx;

/// <summary>
/// Numbers of the VHDX format ([MS-VHDX] version 8.0; the same as "VHDX Format Specification" v1.00). All integers are
/// little-endian, all offsets are bytes from the start of the file unless said otherwise.
/// </summary>
internal static class VhdxFormat
{
    public const int Mebibyte = 1 << 20;

    /// <summary>"vhdxfile" at byte 0 (2.2.1).</summary>
    public const ulong FileSignature = 0x656C_6966_7864_6876;

    /// <summary>"head" (2.2.2).</summary>
    public const uint HeaderSignature = 0x6461_6568;

    /// <summary>"regi" (2.2.3).</summary>
    public const uint RegionTableSignature = 0x6967_6572;

    /// <summary>"metadata" (2.6.1.1).</summary>
    public const ulong MetadataSignature = 0x6174_6164_6174_656D;

    public const int HeaderByteSize = 4096;
    public const int RegionTableByteSize = 64 << 10;
    public const int MetadataTableByteSize = 64 << 10;
    public const int LargestEntryCount = 2047;

    /// <summary>The header section: identifier, headers, region tables, reserved space (2.2).</summary>
    public const long HeaderSectionByteSize = Mebibyte;

    public const long FirstHeaderOffset = 64 << 10;
    public const long SecondHeaderOffset = 128 << 10;
    public const long FirstRegionTableOffset = 192 << 10;
    public const long SecondRegionTableOffset = 256 << 10;

    /// <summary>The log's unit, and what a write is assumed to keep whole (2.3).</summary>
    public const int LogSectorByteSize = 4096;

    /// <summary>Ours, and what Windows makes.</summary>
    public const int DefaultLogByteSize = Mebibyte;

    /// <summary>Larger logs are refused: the format has no limit but 4 GiB, every known writer takes 1 MiB.</summary>
    public const int LargestLogByteSize = 16 * Mebibyte;

    /// <summary>64 TiB (2.6.2.2).</summary>
    public const long LargestDiskByteSize = 64L << 40;

    public const int SmallestBlockByteSize = Mebibyte;
    public const int LargestBlockByteSize = 256 * Mebibyte;

    /// <summary>BAT entries held in memory, 64 MiB of them: 8 TiB of 1 MiB blocks, 64 TiB from 8 MiB up.</summary>
    public const int LargestBatEntryCount = 8 << 20;

    public static readonly Guid BatRegion = new("2DC27766-F623-4200-9D64-115E9BFD4A08");
    public static readonly Guid MetadataRegion = new("8B7CA206-4790-4B9A-B8FE-575F050F886E");

    public static readonly Guid FileParametersItem = new("CAA16737-FA36-4D43-B3B6-33F0AA44E76B");
    public static readonly Guid VirtualDiskSizeItem = new("2FA54224-CD1B-4876-B211-5DBED83BF4B8");
    public static readonly Guid VirtualDiskIdItem = new("BECA12AB-B2E6-4523-93EF-C309E000C746");
    public static readonly Guid LogicalSectorSizeItem = new("8141BF1D-A96F-4709-BA47-F233A8FAAB5F");
    public static readonly Guid PhysicalSectorSizeItem = new("CDA348C7-445D-4471-9CC9-E9885251C556");
    public static readonly Guid ParentLocatorItem = new("A8D35F2D-B30B-454D-ABF7-D3D84834AB0C");
}
