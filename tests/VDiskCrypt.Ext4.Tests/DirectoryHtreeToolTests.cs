using System.Text;
using VDiskCrypt.Core;
using VDiskCrypt.Ext4.Directories;
using VDiskCrypt.Ext4.OnDisk;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Ext4.Tests;

/// <summary>Directories against e2fsprogs and the kernel: ours are put into an image block by block, theirs are read.</summary>
public sealed class DirectoryHtreeToolTests
{
    [Theory]
    [InlineData(1024, 90, "", "half_md4")]
    [InlineData(1024, 3000, "", "half_md4")]
    [InlineData(1024, 3000, "^metadata_csum", "tea")]
    [InlineData(4096, 5000, "", "legacy")]
    [InlineData(1024, 48000, "large_dir", "half_md4")]
    public void Accepts_an_index_that_we_built(int blockByteSize, int nameCount, string features, string hash)
    {
        ExternalTool.Require("debugfs");
        using var scratch = new ScratchFolder();
        string image = scratch["image"];
        string options = features.Length > 0 ? $"-O {features}" : "";
        ExternalTool.Bash(
            $"truncate -s 128M $1 && mke2fs -q -t ext4 -b {blockByteSize} -N 60000 -m 0 -J size=4 {options} $1 && tune2fs -E hash_alg={hash} $1 >&2 "
            + "&& debugfs -w -R 'mkdir d' $1", image).Succeeded();
        byte[] superblock = ReadAt(image, SuperblockOnDisk.ByteOffset, 1024);
        var view = new SuperblockOnDisk(superblock);
        var directory = DirectoryInMemory.CreateEmpty(new DirectoryFormat(view), 12, 2, SeedOf(image, view, "d", 12));
        ExternalTool.Bash("echo x > $2; debugfs -w -R \"write $2 target\" $1", image, scratch["x"]).Succeeded();
        string longTail = nameCount > 10_000 ? new string('z', 240) : "";
        for (int i = 0; i < nameCount; i++)
        {
            Assert.Equal(FileSystemError.None, directory.InsertFast(Encoding.ASCII.GetBytes($"name{i}{longTail}"), 13));
        }

        Assert.True(directory.IsIndexed);
        File.WriteAllLines(scratch["expand"], Enumerable.Repeat("expand_dir d", directory.Blocks.Count - 1));
        string inodeFields = $"sif d flags 0x81000\nsif target links_count {Math.Min(nameCount + 1, 65000)}\n";
        File.AppendAllText(scratch["expand"], inodeFields);
        ExternalTool.Run("debugfs", "-w", "-f", scratch["expand"], image).Succeeded();
        WriteBlocks(image, directory);
        ToolResult check = ExternalTool.Run("e2fsck", "-fn", image);

        // More links than the format counts is the only thing that e2fsck may say.
        string[] complaints = check.Output.Split('\n').Where(line => nameCount < 65000 && line.Contains('?')).ToArray();
        Assert.True(check.ExitCode == 0, string.Join('\n', complaints) + check.Output);
        ToolResult tree = ExternalTool.Run("debugfs", "-R", "htree_dump d", image).Succeeded();
        Assert.Contains($"Number of entries", tree.Output);
    }

    [Fact]
    public void Reads_and_changes_an_index_that_the_kernel_built()
    {
        using var scratch = new ScratchFolder();
        string image = scratch["image"];
        CreateWithKernel(image, scratch["mount"], 4000);
        var view = new SuperblockOnDisk(ReadAt(image, SuperblockOnDisk.ByteOffset, 1024));
        uint inode = uint.Parse(
            ExternalTool.Run("debugfs", "-R", "stat d", image).Succeeded().Output.Split("Inode: ")[1].Split(' ')[0]);
        var directory = new DirectoryInMemory(new DirectoryFormat(view), inode, SeedOf(image, view, "d", inode));
        foreach (long block in BlocksOf(image))
        {
            directory.Blocks.Add(ReadAt(image, block * 1024, 1024));
        }

        directory.IsIndexed = true;
        directory.AssertSound();
        for (int i = 0; i < 4000; i++)
        {
            Assert.NotNull(directory.Lookup($"kernel-name-{i}"));
        }

        Assert.Null(directory.Lookup("kernel-name-4000"));
        Assert.Equal(4002, directory.List(50).Distinct().Count());
        for (int i = 0; i < 4000; i += 2)
        {
            uint target = directory.Lookup($"kernel-name-{i}")!.Value;
            Assert.True(DirectoryOperations.Remove(directory, Encoding.ASCII.GetBytes($"kernel-name-{i}")));
            Assert.Equal(FileSystemError.None, directory.InsertFast(Encoding.ASCII.GetBytes($"our-name-{i}"), target));
        }

        directory.AssertSound();
        int added = directory.Blocks.Count - BlocksOf(image).Count;
        File.WriteAllLines(scratch["expand"], Enumerable.Repeat("expand_dir d", added));
        ExternalTool.Run("debugfs", "-w", "-f", scratch["expand"], image).Succeeded();
        WriteBlocks(image, directory);
        ExternalTool.Run("e2fsck", "-fn", image).Succeeded();
        ToolResult count = ExternalTool.Bash(
            "mount -o loop,ro $1 $2 && ls -U $2/d | wc -l && stat $2/d/our-name-3998 $2/d/kernel-name-3999 > /dev/null; r=$?; umount $2; exit $r",
            image, scratch["mount"]).Succeeded();
        Assert.Equal("4000", count.Output.Trim());
    }

    private static void CreateWithKernel(string image, string mountPoint, int count)
    {
        ExternalTool.Require("mke2fs");
        Directory.CreateDirectory(mountPoint);
        ToolResult result = ExternalTool.Bash(
            "truncate -s 64M $1 && mke2fs -q -t ext4 -b 1024 $1 && mount -o loop $1 $2 || exit 77\n"
            + $"mkdir $2/d && cd $2/d && for ((i = 0; i < {count}; i++)); do echo > kernel-name-$i; done; cd /; umount $2",
            image, mountPoint);
        Assert.SkipWhen(result.ExitCode == 77, "this machine cannot mount a loop device");
        result.Succeeded();
    }

    private static uint SeedOf(string image, SuperblockOnDisk superblock, string path, uint inode)
    {
        string output = ExternalTool.Run("debugfs", "-R", $"stat {path}", image).Succeeded().Output;
        Assert.Contains($"Inode: {inode}", output);
        uint generation = uint.Parse(output.Split("Generation: ")[1].Split(' ')[0]);
        return new MetadataChecksum(superblock).InodeSeed(inode, generation);
    }

    private static List<long> BlocksOf(string image) =>
        ExternalTool.Run("debugfs", "-R", "blocks d", image).Succeeded().Output
            .Split([' ', '\n'], StringSplitOptions.RemoveEmptyEntries).Select(long.Parse).ToList();

    private static byte[] ReadAt(string image, long offset, int count)
    {
        using FileStream file = File.OpenRead(image);
        file.Position = offset;
        var bytes = new byte[count];
        file.ReadExactly(bytes);
        return bytes;
    }

    private static void WriteBlocks(string image, DirectoryInMemory directory)
    {
        List<long> places = BlocksOf(image);
        places = places.Where(place => place != 0).ToList();
        Assert.Equal(directory.Blocks.Count, places.Count);
        using FileStream file = File.OpenWrite(image);
        for (int i = 0; i < places.Count; i++)
        {
            file.Position = places[i] * directory.Format.BlockByteSize;
            file.Write(directory.Blocks[i]);
        }
    }
}
