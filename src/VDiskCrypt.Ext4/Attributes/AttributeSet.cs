namespace VDiskCrypt.Ext4.Attributes;

/// <summary>All attributes of one inode in memory, and in which of the two places each lies.</summary>
/// <param name="bodyCapacity">Bytes for entries and values in the inode; 0 where it has no room at all.</param>
/// <param name="blockCapacity">The same for a block.</param>
internal sealed class AttributeSet(int bodyCapacity, int blockCapacity)
{
    public List<AttributeRecord> Body { get; private set; } = [];

    public List<AttributeRecord> Block { get; private set; } = [];

    public bool BodyIsChanged { get; private set; }

    public bool BlockIsChanged { get; private set; }

    public static void Load(in AttributeArea area, List<AttributeRecord> records)
    {
        int position = area.First;
        while (area.TryRead(ref position, out AttributeEntry entry))
        {
            records.Add(new AttributeRecord(entry.Index, entry.Name.ToArray(), entry.Value.ToArray()));
        }
    }

    public AttributeRecord? Find(in AttributeName name)
    {
        byte index = name.Index;
        ReadOnlySpan<byte> suffix = name.Suffix;
        return Find(Body, index, suffix) ?? Find(Block, index, suffix);
    }

    public bool Remove(in AttributeName name)
    {
        bool wasInBody = Remove(Body, name);
        bool wasInBlock = Remove(Block, name);
        BodyIsChanged |= wasInBody;
        BlockIsChanged |= wasInBlock;
        return wasInBody || wasInBlock;
    }

    /// <summary>
    /// Sets an attribute: in the inode, else in the block, else where everything fits when all are placed anew.
    /// </summary>
    /// <returns>False when there is no room; then nothing may be stored.</returns>
    public bool TryPut(in AttributeName name, ReadOnlySpan<byte> value)
    {
        if (value.Length > blockCapacity)
        {
            return false;
        }

        Remove(name);
        var record = new AttributeRecord(name.Index, name.Suffix.ToArray(), value.ToArray());
        if (TryAdd(Body, record, bodyCapacity))
        {
            BodyIsChanged = true;
            return true;
        }

        if (TryAdd(Block, record, blockCapacity))
        {
            BlockIsChanged = true;
            return true;
        }

        return TryPlaceAnew(record);
    }

    /// <summary>The largest go into the block first: what is left over is small enough for the inode, if anything is.</summary>
    private bool TryPlaceAnew(AttributeRecord added)
    {
        List<AttributeRecord> all = [.. Body, .. Block, added];
        List<AttributeRecord> body = [];
        List<AttributeRecord> block = [];
        foreach (AttributeRecord record in all.OrderByDescending(record => record.ByteLength))
        {
            if (!TryAdd(block, record, blockCapacity) && !TryAdd(body, record, bodyCapacity))
            {
                return false;
            }
        }

        (Body, Block) = (body, block);
        BodyIsChanged = BlockIsChanged = true;
        return true;
    }

    private static bool TryAdd(List<AttributeRecord> records, AttributeRecord record, int capacity)
    {
        records.Add(record);
        if (AttributeLayout.Fits(records, capacity))
        {
            return true;
        }

        records.RemoveAt(records.Count - 1);
        return false;
    }

    private static AttributeRecord? Find(List<AttributeRecord> records, byte index, ReadOnlySpan<byte> suffix)
    {
        foreach (AttributeRecord record in records)
        {
            if (record.Is(index, suffix))
            {
                return record;
            }
        }

        return null;
    }

    private static bool Remove(List<AttributeRecord> records, in AttributeName name)
    {
        int before = records.Count;
        for (int i = records.Count - 1; i >= 0; i--)
        {
            if (records[i].Is(name.Index, name.Suffix))
            {
                records.RemoveAt(i);
            }
        }

        return records.Count != before;
    }
}
