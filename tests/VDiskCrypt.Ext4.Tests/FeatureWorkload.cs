using System.Text;
using VDiskCrypt.Core;
using Xunit;

namespace VDiskCrypt.Ext4.Tests;

/// <summary>What the kernel and we do to a filesystem of any feature set.</summary>
internal static class FeatureWorkload
{
    /// <summary>The kernel makes every kind of file: all levels of block maps with blocks of 1 KiB, hashed directories, attributes.</summary>
    public const string KernelFills = """
        for i in $(seq 40); do head -c $((i * i * 7)) /dev/urandom > small$i; done
        head -c 50 /dev/urandom > tiny; head -c 100 /dev/urandom > little; : > empty
        head -c 1500000 /dev/urandom > sequential
        for i in 0 9 11 13 200 267 268 300 900; do dd if=/dev/urandom of=holes bs=1024 count=1 seek=$i conv=notrunc status=none; done
        for i in 3 400 70000 90001; do dd if=/dev/urandom of=sparse bs=1000 count=2 seek=$i conv=notrunc status=none; done
        cp sparse sparse2; cp holes holes2
        mkdir -p d/e/f few; touch few/a few/bb
        mkdir many; cd many; for i in $(seq 500); do echo $i > "entry-$i-with-a-name-that-is-long-enough-for-more-blocks"; done; rm entry-1*; cd ..
        ln -s short link; ln -s $(printf '%070d' 1) link70; ln -s $(printf '%0300d' 1) link300; ln small1 d/hard; mkfifo fifo; mknod char c 5 300
        for f in small2 small3 few link300; do setfattr -h -n trusted.t -v value-of-$f $f; done
        for f in small4 small5; do setfattr -n user.large -v $(printf '%0400d' 7) $f; setfattr -n user.little -v x $f; done
        """;

    /// <summary>The kernel goes on where we left off.</summary>
    public const string KernelChanges = """
        for f in small1* ours*; do echo more >> $f; done
        for f in ours-sparse holes; do truncate -s 100000 $f; done
        rm -r our-many/*7 many/*3* small9 ours-little; echo into >> d/e/new-file; mv our-dir/inner moved
        dd if=/dev/urandom of=ours-sequential bs=4096 count=20 seek=3 conv=notrunc status=none
        for i in $(seq 30); do echo $i > our-many/kernel$i; done
        setfattr -n user.large -v $(printf '%0300d' 5) ours-with-attributes; setfattr -x user.little small5
        """;

    /// <summary>We change what is there, and make every kind of file.</summary>
    public static void Change(Session session, int seed = 5)
    {
        var random = new Random(seed);
        if (session.Exists("small1"))
        {
            ChangeOfKernel(session, random);
        }

        session.MakeFile("ours-little", Bytes(random, 90));
        session.MakeFile("ours-empty");
        ulong grows = session.MakeFile("ours-growing", Bytes(random, 10));
        for (int i = 1; i < 60; i++)
        {
            session.Write(grows, i * 37, Bytes(random, 50));
        }

        session.MakeFile("ours-sequential", Bytes(random, 1_300_000));
        ulong sparse = session.MakeFile("ours-sparse", Bytes(random, 100));
        foreach (long offset in (long[])[12_000, 300_000, 20_000_000, 71_000_000])
        {
            session.Write(sparse, offset, Bytes(random, 3000));
        }

        ulong punched = session.MakeFile("ours-punched", Bytes(random, 900_000));
        Assert.Equal(FileSystemError.None, session.FileSystem.Allocate(punched, AllocateFlags.PunchHole | AllocateFlags.KeepSize, 5000, 400_000));
        Assert.Equal(FileSystemError.None, session.FileSystem.Allocate(punched, AllocateFlags.PunchHole | AllocateFlags.KeepSize, 500_000, 10));
        session.Write(punched, 200_000, Bytes(random, 10_000));
        Assert.Equal(FileSystemError.None, session.Truncate(punched, 700_001));
        Assert.Equal(FileSystemError.None, session.Truncate(punched, 800_000));
        session.MakeDirectory("our-dir");
        session.MakeDirectory("our-dir/inner");
        session.MakeFile("our-dir/inner/x", [1]);
        session.MakeDirectory("our-many");
        for (int i = 0; i < 400; i++)
        {
            session.MakeFile($"our-many/name-{i}-{new string('n', 60)}-{i}", i % 5 == 0 ? Bytes(random, 20) : null);
        }

        for (int i = 0; i < 400; i += 3)
        {
            Assert.Equal(FileSystemError.None, session.Unlink($"our-many/name-{i}-{new string('n', 60)}-{i}"));
        }

        Link(session, "our-link", "target");
        Link(session, "our-link80", new string('t', 80));
        Link(session, "our-link900", new string('t', 900));
        session.Make("our-fifo", UnixMode.Fifo | 0x180);
        session.Make("our-device", UnixMode.BlockDevice | 0x180, 7, 70000);
        ulong attributed = session.MakeFile("ours-with-attributes", Bytes(random, 20));
        Attribute(session, attributed, "user.large", Bytes(random, 500));
        Attribute(session, attributed, "user.small", Bytes(random, 10));
    }

    public static void Attribute(Session session, ulong inode, string name, byte[] value) =>
        Assert.Equal(FileSystemError.None, session.FileSystem.SetExtendedAttribute(
            inode, Encoding.UTF8.GetBytes(name), value, SetAttributeMode.CreateOrReplace));

    public static byte[] Bytes(Random random, int count)
    {
        var bytes = new byte[count];
        random.NextBytes(bytes);
        return bytes;
    }

    private static void ChangeOfKernel(Session session, Random random)
    {
        session.Write(session.Find("tiny"), 20, Bytes(random, 10));
        session.Write(session.Find("little"), 60, Bytes(random, 4000));
        session.Write(session.Find("sequential"), 700_000, Bytes(random, 900_000));
        session.Write(session.Find("holes"), 100_000, Bytes(random, 150_000));
        session.Write(session.Find("sparse2"), 500_000, Bytes(random, 5000));
        session.Write(session.Find("sparse"), 80_000_000, Bytes(random, 5000));
        Assert.Equal(FileSystemError.None, session.Truncate(session.Find("sparse2"), 69_900_123));
        Assert.Equal(FileSystemError.None, session.Truncate(session.Find("holes2"), 11_500));
        Assert.Equal(FileSystemError.None, session.Truncate(session.Find("small30"), 0));
        Assert.Equal(FileSystemError.None, session.FileSystem.Allocate(
            session.Find("sparse"), AllocateFlags.PunchHole | AllocateFlags.KeepSize, 69_000_000, 2_000_000));
        foreach (string name in session.List("many").Where(name => name.Contains('5')))
        {
            Assert.Equal(FileSystemError.None, session.Unlink("many/" + name));
        }

        Assert.Equal(FileSystemError.None, session.Unlink("link300"));
        Assert.Equal(FileSystemError.None, session.Unlink("small4"));
        Assert.Equal(FileSystemError.None, session.Rename("few", "d/few"));
        Assert.Equal(FileSystemError.None, session.Rename("d/e/f", "f"));
        session.MakeFile("d/few/ccc", [9]);
        Assert.Equal(FileSystemError.None, session.Unlink("d/few/a"));
        Attribute(session, session.Find("small6"), "user.ours", Bytes(random, 300));
        Assert.Equal(FileSystemError.None, session.FileSystem.RemoveExtendedAttribute(session.Find("small3"), "trusted.t"u8));
    }

    private static void Link(Session session, string name, string target) => Assert.Equal(
        FileSystemError.None, session.FileSystem.CreateSymbolicLink(
            session.FileSystem.RootInode, Encoding.UTF8.GetBytes(name), Encoding.UTF8.GetBytes(target), new NewInode(), out _));
}
