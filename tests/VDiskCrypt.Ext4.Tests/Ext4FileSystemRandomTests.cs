using VDiskCrypt.Core;
using Xunit;

namespace VDiskCrypt.Ext4.Tests;

public sealed class Ext4FileSystemRandomTests
{
    [Theory]
    [InlineData("-b 1024", 1)]
    [InlineData("-b 1024", 2)]
    [InlineData("-b 4096", 3)]
    [InlineData("-b 2048 -O ^metadata_csum,uninit_bg", 4)]
    [InlineData("-b 4096 -O orphan_file", 5)]
    [InlineData("-b 1024 -I 128 -O ^64bit", 6)]
    public void Random_operations_do_what_the_model_does(string format, int seed)
    {
        using var image = new Ext4Image("128M", format.Split(' '));
        Ext4FileSystemModel model;
        // A tiny cache and few inodes: eviction and commits happen all the time.
        using (var session = new Session(image, new Ext4Options
        {
            MetadataCacheByteLimit = 1 << 20, InodeCacheLimit = 256, CommitIntervalMs = 50,
        }))
        {
            model = new Ext4FileSystemModel(session, seed, "");
            session.FileSystem.RemoveDirectory(session.FileSystem.RootInode, "lost+found"u8);
            model.Run(4000);
            model.Verify(session);
        }

        image.AssertClean();
        using var again = new Session(image, new Ext4Options { ReadOnly = true });
        model.Verify(again);
    }

    [Fact]
    public void Threads_in_their_own_directories_and_in_a_common_one_end_clean()
    {
        using var image = new Ext4Image("256M", "-b", "1024");
        using (var session = new Session(image, new Ext4Options { MetadataCacheByteLimit = 2 << 20, InodeCacheLimit = 512, CommitIntervalMs = 20 }))
        {
            for (int i = 0; i < 6; i++)
            {
                session.MakeDirectory($"/t{i}");
            }

            ulong common = session.MakeDirectory("/common");
            var models = new Ext4FileSystemModel[6];
            var failures = new List<Exception>();
            Thread[] threads = [.. Enumerable.Range(0, 9).Select(i => new Thread(() =>
            {
                try
                {
                    if (i < 6)
                    {
                        models[i] = new Ext4FileSystemModel(session, 100 + i, $"/t{i}", 100_000);
                        models[i].Run(1200);
                    }
                    else
                    {
                        Churn(session, common, i);
                    }
                }
                catch (Exception exception)
                {
                    lock (failures)
                    {
                        failures.Add(exception);
                    }
                }
            }))];
            Array.ForEach(threads, thread => thread.Start());
            foreach (Thread thread in threads)
            {
                Assert.True(thread.Join(60_000), "a thread hangs");
            }

            Assert.Empty(failures);
            Array.ForEach(models, model => model.Verify(session));
        }

        image.AssertClean();
    }

    /// <summary>Races for the same few names: any expected outcome will do, the structure must hold.</summary>
    private static void Churn(Session session, ulong directory, int seed)
    {
        var random = new Random(seed);
        Ext4FileSystem fs = session.FileSystem;
        for (int i = 0; i < 3000; i++)
        {
            byte[] name = [(byte)('a' + random.Next(6))];
            byte[] other = [(byte)('a' + random.Next(6))];
            switch (random.Next(7))
            {
                case 0:
                    fs.Create(directory, name, new NewInode { Mode = UnixMode.Regular | 0x1A4 }, out _);
                    break;
                case 1:
                    fs.Create(directory, name, new NewInode { Mode = UnixMode.Directory | 0x1ED }, out _);
                    break;
                case 2:
                    fs.Unlink(directory, name);
                    break;
                case 3:
                    fs.RemoveDirectory(directory, name);
                    break;
                case 4:
                    fs.Rename(directory, name, directory, other, (RenameFlags)random.Next(3));
                    break;
                case 5:
                    if (fs.Lookup(directory, name, out InodeAttributes found) == FileSystemError.None)
                    {
                        fs.Write(found.Inode, random.Next(10) * 4096, new byte[random.Next(1, 3) * 4096], out _);
                        fs.Rename(directory, other, found.Inode, name, RenameFlags.None);
                        fs.Forget(found.Inode, 1);
                    }

                    break;
                default:
                    if (fs.Lookup(directory, name, out InodeAttributes linked) == FileSystemError.None)
                    {
                        fs.Link(linked.Inode, directory, other, out _);
                        fs.Forget(linked.Inode, ulong.MaxValue);
                    }

                    break;
            }
        }
    }
}
