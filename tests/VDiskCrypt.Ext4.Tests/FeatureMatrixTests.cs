using VDiskCrypt.Core;
using Xunit;

namespace VDiskCrypt.Ext4.Tests;

/// <summary>
/// Feature set by feature set: mke2fs makes it, the kernel fills it, we read it all, change it, e2fsck finds nothing, the
/// kernel reads what we read, changes it, and we read that.
/// </summary>
public sealed class FeatureMatrixTests
{
    public static TheoryData<string, string> FeatureSets => new()
    {
        { "default ext4", "-t ext4" },
        { "ext4 of Debian 13", "-t ext4 -O metadata_csum_seed,orphan_file" },
        { "default ext3", "-t ext3" },
        { "default ext2", "-t ext2" },
        { "ext2 of 4 KiB", "-t ext2 -b 4096" },
        { "ext2 without anything", "-t ext2 -b 1024 -I 128 -O none" },
        { "ext2 of revision 0 sizes", "-t ext2 -b 2048 -I 128 -O ^resize_inode,^dir_index,^sparse_super" },
        { "blocks of 1 KiB", "-t ext4 -b 1024" },
        { "blocks of 2 KiB", "-t ext4 -b 2048" },
        { "inodes of 128", "-t ext4 -I 128" },
        { "inodes of 512", "-t ext4 -b 4096 -I 512" },
        { "inodes of 1024", "-t ext4 -I 1024" },
        { "meta_bg", "-t ext4 -b 1024 -O meta_bg,^resize_inode" },
        { "sparse_super2", "-t ext4 -b 1024 -O sparse_super2" },
        { "uninit_bg", "-t ext4 -b 1024 -O ^metadata_csum,uninit_bg" },
        { "no checksums", "-t ext4 -O ^metadata_csum" },
        { "no dir_index", "-t ext4 -b 1024 -O ^dir_index" },
        { "no filetype", "-t ext4 -b 1024 -O ^filetype" },
        { "no flex_bg, no 64bit", "-t ext4 -b 1024 -O ^flex_bg,^64bit" },
        { "no huge_file, no dir_nlink, no extra_isize", "-t ext4 -O ^huge_file,^dir_nlink,^extra_isize" },
        { "no extents with checksums", "-t ext4 -b 1024 -O ^extents,^64bit" },
        { "no journal, large_dir", "-t ext4 -b 1024 -O ^has_journal,large_dir" },
        { "harmless compat", "-t ext4 -O stable_inodes,fast_commit" },
    };

    [Theory]
    [MemberData(nameof(FeatureSets))]
    [Trait("needs", "root")]
    public void Kernel_and_we_read_and_change_what_the_other_made(string name, string arguments)
    {
        Assert.NotEmpty(name);
        using Ext4Image image = Ext4Image.Exactly("48M", arguments.Split(' '));
        RunBothWays(image);
    }

    [Theory]
    [InlineData("-b 8192")]
    [InlineData("-b 16384 -O ^metadata_csum")]
    [InlineData("-b 32768")]
    [InlineData("-b 65536")]
    [InlineData("-b 65536 -O ^extents,^64bit,^metadata_csum")]
    public void Blocks_that_this_kernel_does_not_mount_are_judged_by_e2fsck_and_debugfs(string arguments)
    {
        using Ext4Image image = Ext4Image.Exactly("128M", ["-t", "ext4", .. arguments.Split(' ')]);
        using (var session = new Session(image))
        {
            FeatureWorkload.Change(session);
        }

        image.AssertClean();
        using var again = new Session(image);
        List<string> tree = FeatureTree.Of(again);
        FeatureTree.AssertSame(FeatureTree.HashesOfDebugfs(image), [.. tree.Where(line => line.StartsWith("h ", StringComparison.Ordinal))]);
        Assert.True(tree.Count > 500);
    }

    internal static void RunBothWays(Ext4Image image)
    {
        List<string> filled = FeatureTree.OfKernel(image, FeatureWorkload.KernelFills);
        Assert.True(filled.Count > 500);
        List<string> changed;
        using (var session = new Session(image))
        {
            Assert.False(session.FileSystem.IsReadOnly);
            FeatureTree.AssertSame(filled, FeatureTree.Of(session));
            FeatureWorkload.Change(session);
            changed = FeatureTree.Of(session);
        }

        image.AssertClean();
        FeatureTree.AssertSame(changed, FeatureTree.OfKernel(image, ":"));
        List<string> again = FeatureTree.OfKernel(image, FeatureWorkload.KernelChanges);
        using (var session = new Session(image))
        {
            FeatureTree.AssertSame(again, FeatureTree.Of(session));
        }

        image.AssertClean();
    }
}
