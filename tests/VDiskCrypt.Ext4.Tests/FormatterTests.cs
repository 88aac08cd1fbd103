using VDiskCrypt.Core;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Ext4.Tests;

/// <summary>The real e2fsck, dumpe2fs, resize2fs and kernel judge what the formatter makes; mke2fs is the model.</summary>
public sealed class FormatterTests : IDisposable
{
    private const long M = 1L << 20;
    private const long G = 1L << 30;

    private readonly ScratchFolder _scratch = new();

    public static TheoryData<long, int> Sizes => new()
    {
        { 3 * M, 1024 }, { 8 * M, 1024 }, { 64 * M, 1024 }, { G, 1024 }, { 5 * G, 1024 },
        { 3 * M, 2048 }, { 64 * M, 2048 }, { G, 2048 }, { 100 * G, 2048 },
        { 16 * M, 4096 }, { 64 * M, 4096 }, { 511 * M, 4096 }, { G, 4096 }, { 5 * G, 4096 }, { 100 * G, 4096 }, { 1024 * G, 4096 },
    };

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [MemberData(nameof(Sizes))]
    public void Is_clean_and_equals_mke2fs_in_every_count(long byteLength, int blockByteSize)
    {
        ExternalTool.Require("mke2fs");
        string ours = Format("ours", byteLength, new Ext4FormatOptions { BlockByteSize = blockByteSize });
        AssertClean(ours);
        using (new FileDevice(_scratch["theirs"], byteLength))
        {
        }

        ExternalTool.Run("mke2fs", "-q", "-F", "-t", "ext4", "-b", blockByteSize.ToString(), _scratch["theirs"]).Succeeded();
        Assert.Equal(Figures(_scratch["theirs"]), Figures(ours));
    }

    [Theory]
    [InlineData((128 * M) + 4096)]
    [InlineData(259 * M)]
    public void A_last_group_too_small_to_be_of_use_is_left_out(long byteLength)
    {
        string image = Format("image", byteLength, new Ext4FormatOptions());
        AssertClean(image);
        long blockCount = long.Parse(Figures(image).Single(line => line.StartsWith("Block count", StringComparison.Ordinal)).Split(':')[1]);
        Assert.Equal(byteLength / (128 * M) * 32768, blockCount);
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public void Is_clean_with_optional_features(bool seed, bool orphanFile)
    {
        string image = Format("image", 256 * M, new Ext4FormatOptions { MetadataChecksumSeed = seed, OrphanFile = orphanFile });
        AssertClean(image);
        string features = Figures(image)[0];
        Assert.Equal(seed, features.Contains("metadata_csum_seed"));
        Assert.Equal(orphanFile, features.Contains("orphan_file"));
    }

    [Theory]
    [InlineData(1024)]
    [InlineData(4096)]
    public void Reads_nothing_that_was_there_before(int blockByteSize)
    {
        byte[] garbage = new byte[64 * M];
        new Random(5).NextBytes(garbage);
        File.WriteAllBytes(_scratch["image"], garbage);
        string image = Format("image", 64 * M, new Ext4FormatOptions { BlockByteSize = blockByteSize });
        AssertClean(image);
        Assert.Contains("lost+found", ExternalTool.Run("debugfs", "-R", "ls /", image).Succeeded().Output);
    }

    [Fact]
    public void Label_owner_and_uuid_are_as_asked()
    {
        var uuid = Guid.NewGuid();
        string image = Format("image", 64 * M, new Ext4FormatOptions { Label = "sixteen bytes 16", Uuid = uuid, RootUserId = 1234567, RootGroupId = 7654321 });
        string header = ExternalTool.Run("dumpe2fs", "-h", image).Succeeded().Output;
        Assert.Contains("sixteen bytes 16", header);
        Assert.Contains(uuid.ToString(), header);
        string root = ExternalTool.Run("debugfs", "-R", "stat <2>", image).Output;
        Assert.Matches("User: *1234567 *Group: *7654321", root);
        AssertClean(image);
    }

    [Fact]
    public void Resize2fs_grows_it()
    {
        string image = Format("image", 200 * M, new Ext4FormatOptions());
        ExternalTool.Run("truncate", "-s", "3G", image).Succeeded();
        ExternalTool.Run("e2fsck", "-fp", image);
        ExternalTool.Run("resize2fs", image).Succeeded();
        AssertClean(image);
    }

    [Theory]
    [InlineData(1024)]
    [InlineData(4096)]
    [Trait("needs", "root")]
    public void The_kernel_mounts_and_fills_it(int blockByteSize)
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "loop mounts need root");
        byte[] garbage = new byte[200 * M];
        new Random(6).NextBytes(garbage);
        File.WriteAllBytes(_scratch["image"], garbage);
        string image = Format("image", 200 * M, new Ext4FormatOptions { BlockByteSize = blockByteSize, OrphanFile = true });
        ExternalTool.Bash("""
            set -e; mkdir "$2"; mount -o loop "$1" "$2"; trap 'umount "$2"' EXIT
            for i in $(seq 2000); do echo $i > "$2/file$i"; done; head -c 60000000 /dev/zero > "$2/big"; mkdir "$2/d"; sync -f "$2"
            """, image, _scratch["mnt"]).Succeeded();
        AssertClean(image);
    }

    [Theory]
    [InlineData(64 * 1024, 4096)]
    [InlineData(1 * M, 512)]
    public void Refuses_what_cannot_be(long byteLength, int blockByteSize)
    {
        VDiskException error = Assert.Throws<VDiskException>(() => Format("image", byteLength, new Ext4FormatOptions { BlockByteSize = blockByteSize }));
        Assert.Equal(FailureKind.Usage, error.Kind);
        Assert.NotNull(error.Remedy);
    }

    private static void AssertClean(string image)
    {
        ExternalTool.Require("e2fsck");
        ToolResult result = ExternalTool.Run("e2fsck", "-fn", image);
        Assert.True(result.ExitCode == 0, result.Output + result.Error);
    }

    private static string[] Figures(string image)
    {
        string[] names =
        [
            "Filesystem features", "Filesystem flags", "Default mount options", "Inode count", "Block count", "Reserved block count", "Overhead clusters",
            "Free blocks", "Free inodes", "First block", "Block size", "Group descriptor size", "Reserved GDT blocks", "Blocks per group", "Inodes per group",
            "Inode blocks per group", "Flex block group size", "First inode", "Inode size", "Required extra isize", "Journal inode", "Default directory hash",
            "Journal backup", "Checksum type", "Total journal size", "Total journal blocks",
        ];
        string[] lines = ExternalTool.Run("dumpe2fs", "-h", image).Succeeded().Output.Split('\n');
        return [.. names.SelectMany(name => lines.Where(line => line.StartsWith(name + ":", StringComparison.Ordinal)))];
    }

    private string Format(string name, long byteLength, Ext4FormatOptions options)
    {
        using var device = new FileDevice(_scratch[name], byteLength);
        Ext4Formatter.Format(device, options);
        return _scratch[name];
    }
}
