namespace VDiskCrypt.Ext4.OnDisk;

/// <summary>
/// A view of the superblock: 1024 bytes at byte 1024 of the device, copies at the start of backup groups. Source: Linux
/// Documentation/filesystems/ext4/super.rst. Fields are as on disk; nothing is checked here.
/// </summary>
internal readonly ref struct SuperblockOnDisk(Span<byte> bytes)
{
    public const int ByteOffset = 1024;
    public const int ByteLength = 1024;
    public const ushort MagicValue = 0xEF53;

    /// <summary>s_state: unmounted cleanly.</summary>
    public const ushort StateValid = 1;

    /// <summary>s_state: errors were found.</summary>
    public const ushort StateError = 2;

    public const uint FlagSignedHash = 1;
    public const uint FlagUnsignedHash = 2;

    public const int UuidOffset = 0x68;
    public const int HashSeedOffset = 0xEC;
    public const int ChecksumOffset = 0x3FC;
    public const int JournalBackupOffset = 0x10C;

    private readonly Span<byte> _b = bytes[..ByteLength];

    public Span<byte> Bytes => _b;

    public uint InodeCount { get => _b.U32(0x0); set => _b.SetU32(0x0, value); }

    public ulong BlockCount
    {
        get => Is64Bit ? _b.U32(0x4) | (ulong)_b.U32(0x150) << 32 : _b.U32(0x4);
        set => SetSplit(0x4, 0x150, value);
    }

    public ulong ReservedBlockCount
    {
        get => Is64Bit ? _b.U32(0x8) | (ulong)_b.U32(0x154) << 32 : _b.U32(0x8);
        set => SetSplit(0x8, 0x154, value);
    }

    public ulong FreeBlockCount
    {
        get => Is64Bit ? _b.U32(0xC) | (ulong)_b.U32(0x158) << 32 : _b.U32(0xC);
        set => SetSplit(0xC, 0x158, value);
    }

    public uint FreeInodeCount { get => _b.U32(0x10); set => _b.SetU32(0x10, value); }

    public uint FirstDataBlock { get => _b.U32(0x14); set => _b.SetU32(0x14, value); }

    public uint LogBlockSize { get => _b.U32(0x18); set => _b.SetU32(0x18, value); }

    public uint LogClusterSize { get => _b.U32(0x1C); set => _b.SetU32(0x1C, value); }

    public uint BlocksPerGroup { get => _b.U32(0x20); set => _b.SetU32(0x20, value); }

    public uint ClustersPerGroup { get => _b.U32(0x24); set => _b.SetU32(0x24, value); }

    public uint InodesPerGroup { get => _b.U32(0x28); set => _b.SetU32(0x28, value); }

    public uint MountTime { get => _b.U32(0x2C); set => _b.SetU32(0x2C, value); }

    public uint WriteTime { get => _b.U32(0x30); set => _b.SetU32(0x30, value); }

    public ushort MountCount { get => _b.U16(0x34); set => _b.SetU16(0x34, value); }

    public ushort MaximumMountCount { get => _b.U16(0x36); set => _b.SetU16(0x36, value); }

    public ushort Magic { get => _b.U16(0x38); set => _b.SetU16(0x38, value); }

    public ushort State { get => _b.U16(0x3A); set => _b.SetU16(0x3A, value); }

    /// <summary>s_errors: 1 continue, 2 remount read-only, 3 panic.</summary>
    public ushort ErrorBehaviour { get => _b.U16(0x3C); set => _b.SetU16(0x3C, value); }

    public uint LastCheckTime { get => _b.U32(0x40); set => _b.SetU32(0x40, value); }

    public uint CheckIntervalSeconds { get => _b.U32(0x44); set => _b.SetU32(0x44, value); }

    public uint CreatorOs { get => _b.U32(0x48); set => _b.SetU32(0x48, value); }

    public uint RevisionLevel { get => _b.U32(0x4C); set => _b.SetU32(0x4C, value); }

    public uint FirstInode { get => _b.U32(0x54); set => _b.SetU32(0x54, value); }

    public ushort InodeByteSize { get => _b.U16(0x58); set => _b.SetU16(0x58, value); }

    /// <summary>The group that this copy lies in.</summary>
    public ushort BlockGroupNumber { get => _b.U16(0x5A); set => _b.SetU16(0x5A, value); }

    public CompatibleFeatures Compatible { get => (CompatibleFeatures)_b.U32(0x5C); set => _b.SetU32(0x5C, (uint)value); }

    public IncompatibleFeatures Incompatible { get => (IncompatibleFeatures)_b.U32(0x60); set => _b.SetU32(0x60, (uint)value); }

    public ReadOnlyCompatibleFeatures ReadOnlyCompatible
    {
        get => (ReadOnlyCompatibleFeatures)_b.U32(0x64);
        set => _b.SetU32(0x64, (uint)value);
    }

    public Span<byte> Uuid => _b.Slice(UuidOffset, 16);

    public Span<byte> VolumeName => _b.Slice(0x78, 16);

    public Span<byte> LastMounted => _b.Slice(0x88, 64);

    public ushort ReservedGdtBlocks { get => _b.U16(0xCE); set => _b.SetU16(0xCE, value); }

    public Span<byte> JournalUuid => _b.Slice(0xD0, 16);

    public uint JournalInode { get => _b.U32(0xE0); set => _b.SetU32(0xE0, value); }

    public uint JournalDevice { get => _b.U32(0xE4); set => _b.SetU32(0xE4, value); }

    /// <summary>The head of the list of orphaned inodes.</summary>
    public uint LastOrphan { get => _b.U32(0xE8); set => _b.SetU32(0xE8, value); }

    public Span<byte> HashSeed => _b.Slice(HashSeedOffset, 16);

    public byte DefaultHashVersion { get => _b[0xFC]; set => _b[0xFC] = value; }

    public byte JournalBackupType { get => _b[0xFD]; set => _b[0xFD] = value; }

    public ushort GroupDescriptorByteSize { get => _b.U16(0xFE); set => _b.SetU16(0xFE, value); }

    public uint DefaultMountOptions { get => _b.U32(0x100); set => _b.SetU32(0x100, value); }

    public uint FirstMetaBlockGroup { get => _b.U32(0x104); set => _b.SetU32(0x104, value); }

    public uint CreationTime { get => _b.U32(0x108); set => _b.SetU32(0x108, value); }

    /// <summary>A copy of the journal inode's i_block (15 words), then its size (high, low).</summary>
    public Span<byte> JournalBlocks => _b.Slice(JournalBackupOffset, 68);

    public ushort MinimumExtraInodeSize { get => _b.U16(0x15C); set => _b.SetU16(0x15C, value); }

    public ushort WantedExtraInodeSize { get => _b.U16(0x15E); set => _b.SetU16(0x15E, value); }

    public uint Flags { get => _b.U32(0x160); set => _b.SetU32(0x160, value); }

    public byte LogGroupsPerFlex { get => _b[0x174]; set => _b[0x174] = value; }

    public byte ChecksumType { get => _b[0x175]; set => _b[0x175] = value; }

    public ulong KilobytesWritten { get => _b.U64(0x178); set => _b.SetU64(0x178, value); }

    public uint ErrorCount { get => _b.U32(0x194); set => _b.SetU32(0x194, value); }

    public uint FirstErrorTime { get => _b.U32(0x198); set => _b.SetU32(0x198, value); }

    public uint LastErrorTime { get => _b.U32(0x1CC); set => _b.SetU32(0x1CC, value); }

    public uint OverheadClusters { get => _b.U32(0x248); set => _b.SetU32(0x248, value); }

    /// <summary>The two groups with superblock copies under sparse_super2.</summary>
    public uint BackupGroup(int index) => _b.U32(0x24C + index * 4);

    public uint ChecksumSeed { get => _b.U32(0x270); set => _b.SetU32(0x270, value); }

    public uint OrphanFileInode { get => _b.U32(0x280); set => _b.SetU32(0x280, value); }

    public uint Checksum { get => _b.U32(ChecksumOffset); set => _b.SetU32(ChecksumOffset, value); }

    private bool Is64Bit => (Incompatible & IncompatibleFeatures.SixtyFourBit) != 0;

    private void SetSplit(int lowOffset, int highOffset, ulong value)
    {
        _b.SetU32(lowOffset, (uint)value);
        if (Is64Bit)
        {
            _b.SetU32(highOffset, (uint)(value >> 32));
        }
    }
}
