using System.Numerics;
using VDiskCrypt.Ext4.OnDisk;

namespace VDiskCrypt.Ext4;

/// <summary>The names that e2fsprogs gives to features.</summary>
internal static class FeatureNames
{
    private static readonly string[] Compatible =
    [
        "dir_prealloc", "imagic_inodes", "has_journal", "ext_attr", "resize_inode", "dir_index", "lazy_bg", "exclude_inode",
        "exclude_bitmap", "sparse_super2", "fast_commit", "stable_inodes", "orphan_file",
    ];

    private static readonly string[] Incompatible =
    [
        "compression", "filetype", "needs_recovery", "journal_dev", "meta_bg", "", "extent", "64bit", "mmp", "flex_bg",
        "ea_inode", "", "dirdata", "metadata_csum_seed", "large_dir", "inline_data", "encrypt", "casefold",
    ];

    private static readonly string[] ReadOnlyCompatible =
    [
        "sparse_super", "large_file", "btree_dir", "huge_file", "uninit_bg", "dir_nlink", "extra_isize", "has_snapshot",
        "quota", "bigalloc", "metadata_csum", "replica", "read-only", "project", "shared_blocks", "verity",
        "orphan_present",
    ];

    public static string Of(CompatibleFeatures features) => Join((uint)features, Compatible, 'C');

    public static string Of(IncompatibleFeatures features) => Join((uint)features, Incompatible, 'I');

    public static string Of(ReadOnlyCompatibleFeatures features) => Join((uint)features, ReadOnlyCompatible, 'R');

    private static string Join(uint bits, string[] names, char letter)
    {
        var found = new List<string>();
        for (; bits != 0; bits &= bits - 1)
        {
            int bit = BitOperations.TrailingZeroCount(bits);
            found.Add(bit < names.Length && names[bit].Length > 0 ? names[bit] : $"FEATURE_{letter}{bit}");
        }

        return string.Join(' ', found);
    }
}
