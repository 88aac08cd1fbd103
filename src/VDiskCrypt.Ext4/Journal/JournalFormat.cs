using System.Buffers.Binary;
using VDiskCrypt.Core;

namespace VDiskCrypt.Ext4.Journal;

/// <summary>
/// The blocks of a jbd2 log as a journal's features shape them. Every block of the log's own starts with magic, type and
/// sequence; a transaction is descriptor blocks, each followed by the blocks that its tags name, revoke blocks, and a
/// commit block. Source: Linux Documentation/filesystems/ext4/journal.rst.
/// </summary>
internal sealed class JournalFormat
{
    public const uint Magic = 0xC03B3998;
    public const uint TypeDescriptor = 1;
    public const uint TypeCommit = 2;
    public const uint TypeSuperblockV1 = 3;
    public const uint TypeSuperblockV2 = 4;
    public const uint TypeRevoke = 5;
    public const int HeaderByteLength = 12;

    /// <summary>s_feature_compat: one CRC-32 over a transaction, in its commit block.</summary>
    public const uint CompatibleChecksum = 1;

    private const int RevokeHeaderByteLength = 16;
    private const int TailByteLength = 4;
    private const int CommitChecksumOffset = 0x10;
    private const int CommitSecondsOffset = 0x30;
    private const int CommitNanosecondsOffset = 0x38;
    private const int CommitChecksumTypeOffset = 0xC;
    private const byte ChecksumTypeCrc32 = 1;

    private readonly int _blockByteSize;
    private readonly byte[] _uuid;
    private readonly uint _seed;

    public JournalFormat(JournalSuperblockOnDisk superblock)
    {
        _blockByteSize = (int)superblock.BlockByteSize;
        bool isVersionTwo = superblock.BlockType == TypeSuperblockV2;
        JournalIncompatibleFeatures features = isVersionTwo ? superblock.Incompatible : 0;
        Features = features;
        _uuid = isVersionTwo ? superblock.Uuid.ToArray() : new byte[JournalSuperblockOnDisk.UuidByteLength];
        _seed = Crc32C.Update(uint.MaxValue, _uuid);
        IsVersion3 = (features & JournalIncompatibleFeatures.ChecksumV3) != 0;
        HasChecksums = IsVersion3 || (features & JournalIncompatibleFeatures.ChecksumV2) != 0;
        HasTransactionChecksum = isVersionTwo && !HasChecksums && (superblock.Compatible & CompatibleChecksum) != 0;
        Is64Bit = (features & JournalIncompatibleFeatures.SixtyFourBit) != 0;
        TagByteLength = IsVersion3 ? 16 : 8 + (HasChecksums ? 2 : 0) + (Is64Bit ? 4 : 0);
    }

    public JournalIncompatibleFeatures Features { get; }

    /// <summary>Descriptor, revoke and commit blocks end with or hold a CRC-32C, tags hold one of their block.</summary>
    public bool HasChecksums { get; }

    /// <summary>The older kind: only the commit block has one, a CRC-32 over descriptors and blocks.</summary>
    public bool HasTransactionChecksum { get; }

    public bool Is64Bit { get; }

    /// <summary>The length of a tag without its UUID.</summary>
    public int TagByteLength { get; }

    /// <summary>How many tags a descriptor block holds.</summary>
    public int TagsPerDescriptor => (ContentEnd - HeaderByteLength - JournalSuperblockOnDisk.UuidByteLength) / TagByteLength;

    /// <summary>How many block numbers a revoke block holds.</summary>
    public int NumbersPerRevoke => (ContentEnd - RevokeHeaderByteLength) / NumberByteLength;

    private bool IsVersion3 { get; }

    private int NumberByteLength => Is64Bit ? 8 : 4;

    /// <summary>Where the content of a descriptor or revoke block ends.</summary>
    private int ContentEnd => _blockByteSize - (HasChecksums ? TailByteLength : 0);

    public static bool HasHeader(ReadOnlySpan<byte> block, uint sequence) =>
        block.Be32(0) == Magic && block.Be32(8) == sequence;

    public static uint TypeOf(ReadOnlySpan<byte> block) => block.Be32(4);

    public static uint SequenceOf(ReadOnlySpan<byte> block) => block.Be32(8);

    public static void PutHeader(Span<byte> block, uint type, uint sequence)
    {
        block.SetBe32(0, Magic);
        block.SetBe32(4, type);
        block.SetBe32(8, sequence);
    }

    /// <summary>Reads a descriptor's tags.</summary>
    public void ReadTags(ReadOnlySpan<byte> descriptor, List<JournalTag> tags)
    {
        tags.Clear();
        for (int offset = HeaderByteLength; offset + TagByteLength <= ContentEnd;)
        {
            JournalTag tag = ReadTag(descriptor[offset..]);
            tags.Add(tag);
            offset += TagByteLength + ((tag.Flags & JournalTag.FlagSameUuid) == 0 ? JournalSuperblockOnDisk.UuidByteLength : 0);
            if ((tag.Flags & JournalTag.FlagLast) != 0)
            {
                return;
            }
        }
    }

    /// <summary>Fills a descriptor block; at most <see cref="TagsPerDescriptor"/> tags.</summary>
    public void WriteDescriptor(Span<byte> block, uint sequence, ReadOnlySpan<JournalTag> tags)
    {
        block.Clear();
        PutHeader(block, TypeDescriptor, sequence);
        int offset = HeaderByteLength;
        for (int i = 0; i < tags.Length; i++)
        {
            uint flags = tags[i].Flags | (i > 0 ? JournalTag.FlagSameUuid : 0) | (i == tags.Length - 1 ? JournalTag.FlagLast : 0);
            WriteTag(block[offset..], tags[i] with { Flags = flags });
            offset += TagByteLength;
            if (i == 0)
            {
                _uuid.CopyTo(block[offset..]);
                offset += JournalSuperblockOnDisk.UuidByteLength;
            }
        }

        StoreTail(block);
    }

    /// <summary>The checksum that a tag holds of its block, as the block is in the log.</summary>
    public uint BlockChecksum(uint sequence, ReadOnlySpan<byte> block)
    {
        Span<byte> number = stackalloc byte[4];
        number.SetBe32(0, sequence);
        uint crc = Crc32C.Update(Crc32C.Update(_seed, number), block);
        return IsVersion3 ? crc : crc & 0xFFFF;
    }

    /// <summary>Reads the block numbers of a revoke block.</summary>
    /// <returns>False when its count makes no sense.</returns>
    public bool ReadRevokes(ReadOnlySpan<byte> block, List<ulong> numbers)
    {
        uint end = block.Be32(HeaderByteLength);
        if (end < RevokeHeaderByteLength || end > ContentEnd)
        {
            return false;
        }

        for (int offset = RevokeHeaderByteLength; offset + NumberByteLength <= end; offset += NumberByteLength)
        {
            numbers.Add(Is64Bit ? BinaryPrimitives.ReadUInt64BigEndian(block[offset..]) : block.Be32(offset));
        }

        return true;
    }

    /// <summary>Fills a revoke block; at most <see cref="NumbersPerRevoke"/> numbers.</summary>
    public void WriteRevokes(Span<byte> block, uint sequence, ReadOnlySpan<ulong> numbers)
    {
        block.Clear();
        PutHeader(block, TypeRevoke, sequence);
        block.SetBe32(HeaderByteLength, (uint)(RevokeHeaderByteLength + numbers.Length * NumberByteLength));
        for (int i = 0; i < numbers.Length; i++)
        {
            Span<byte> place = block[(RevokeHeaderByteLength + i * NumberByteLength)..];
            if (Is64Bit)
            {
                place.SetBe64(0, numbers[i]);
            }
            else
            {
                place.SetBe32(0, checked((uint)numbers[i]));
            }
        }

        StoreTail(block);
    }

    /// <summary>Whether a descriptor or revoke block has the checksum that it should have.</summary>
    public bool TailMatches(ReadOnlySpan<byte> block) => !HasChecksums || block.Be32(ContentEnd) == TailChecksum(block);

    /// <summary>Fills a commit block.</summary>
    public void WriteCommit(Span<byte> block, uint sequence, UnixTime time)
    {
        block.Clear();
        PutHeader(block, TypeCommit, sequence);
        block.SetBe64(CommitSecondsOffset, (ulong)time.Seconds);
        block.SetBe32(CommitNanosecondsOffset, (uint)time.Nanoseconds);
        if (HasChecksums)
        {
            block.SetBe32(CommitChecksumOffset, Crc32C.Update(_seed, block));
        }
    }

    /// <summary>Whether a commit block has the checksum that it should have.</summary>
    /// <param name="block">The block.</param>
    /// <param name="transactionChecksum">For <see cref="HasTransactionChecksum"/>: the CRC-32 of what came before.</param>
    public bool CommitMatches(ReadOnlySpan<byte> block, uint transactionChecksum)
    {
        uint stored = block.Be32(CommitChecksumOffset);
        if (HasChecksums)
        {
            uint crc = Crc32C.Update(_seed, block[..CommitChecksumOffset]);
            crc = Crc32C.Update(crc, [0, 0, 0, 0]);
            return stored == Crc32C.Update(crc, block[(CommitChecksumOffset + 4)..]);
        }

        // A commit block of a journal that got the feature later has neither type nor checksum.
        return !HasTransactionChecksum || stored == transactionChecksum && block[CommitChecksumTypeOffset] == ChecksumTypeCrc32
            || stored == 0 && block[CommitChecksumTypeOffset] == 0;
    }

    private JournalTag ReadTag(ReadOnlySpan<byte> bytes)
    {
        ulong block = bytes.Be32(0);
        if (IsVersion3)
        {
            return new JournalTag(block | (Is64Bit ? (ulong)bytes.Be32(8) << 32 : 0), bytes.Be32(4), bytes.Be32(12));
        }

        return new JournalTag(block | (Is64Bit ? (ulong)bytes.Be32(8) << 32 : 0), bytes.Be16(6), bytes.Be16(4));
    }

    private void WriteTag(Span<byte> bytes, in JournalTag tag)
    {
        bytes.SetBe32(0, (uint)tag.Block);
        if (IsVersion3)
        {
            bytes.SetBe32(4, tag.Flags);
            bytes.SetBe32(12, tag.Checksum);
        }
        else
        {
            bytes.SetBe16(4, HasChecksums ? (ushort)tag.Checksum : (ushort)0);
            bytes.SetBe16(6, (ushort)tag.Flags);
        }

        if (Is64Bit)
        {
            bytes.SetBe32(8, (uint)(tag.Block >> 32));
        }
    }

    private void StoreTail(Span<byte> block)
    {
        if (HasChecksums)
        {
            block.SetBe32(ContentEnd, TailChecksum(block));
        }
    }

    private uint TailChecksum(ReadOnlySpan<byte> block) =>
        Crc32C.Update(Crc32C.Update(_seed, block[..ContentEnd]), [0, 0, 0, 0]);
}
