namespace VDiskCrypt.Images;

/// <summary>Which kind of partition table a disk has.</summary>
public enum PartitionScheme
{
    Gpt,
    Mbr,
}
