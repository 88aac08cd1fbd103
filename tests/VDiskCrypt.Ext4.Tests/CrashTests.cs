using VDiskCrypt.Core;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Ext4.Tests;

/// <summary>
/// Power cuts at random points of random work. VDISKCRYPT_CRASH_STATES says how many states of each workload are judged
/// (default 150), VDISKCRYPT_CRASH_SEED another seed.
/// </summary>
public sealed class CrashTests
{
    private const int DefaultStateCount = 150;

    private static readonly int StateCount =
        int.TryParse(Environment.GetEnvironmentVariable("VDISKCRYPT_CRASH_STATES"), out int count) ? count : DefaultStateCount;

    private static readonly int Seed =
        int.TryParse(Environment.GetEnvironmentVariable("VDISKCRYPT_CRASH_SEED"), out int seed) ? seed : 1;

    private static readonly Ext4Options Options = new()
    {
        CommitIntervalMs = 600_000, MetadataCacheByteLimit = 1 << 20, InodeCacheLimit = 256,
    };

    [Theory]
    [InlineData("24M", "-b 1024 -J size=1", 1)]
    [InlineData("24M", "-b 1024 -J size=1 -O orphan_file", 2)]
    [InlineData("24M", "-b 4096 -g 2048 -J size=4", 3)]
    [InlineData("24M", "-b 2048 -J size=2 -O ^metadata_csum,uninit_bg", 4)]
    [InlineData("24M", "-b 1024 -J size=1 -I 128 -O ^64bit", 5)]
    [InlineData("8M", "-b 1024 -J size=1", 6)]
    public void Every_state_that_a_power_cut_leaves_opens_with_all_that_was_synced(string size, string format, int number)
    {
        History history = Record(size, format, number * 1000 + Seed, (workload, _) => workload.Run(1500));
        history.JudgeAll(StateCount, withTools: true);
    }

    [Fact]
    public void Threads_that_sync_at_once_each_find_their_files_after_a_power_cut()
    {
        History history = Record("24M", "-b 1024 -J size=1", 70 + Seed, (first, make) =>
        {
            CrashWorkload[] all = [first, .. Enumerable.Range(0, 3).Select(i => make($"p{i}-"))];
            Thread[] threads = [.. all.Select((workload, i) => new Thread(() =>
            {
                workload.Run(120);
                workload.RunLog(i == 0 ? 40 : 10);
            }))];
            Array.ForEach(threads, thread => thread.Start());
            Array.ForEach(threads, thread => Assert.True(thread.Join(60_000), "a thread hangs"));
        });
        history.JudgeAll(StateCount, withTools: false);
    }

    [Fact]
    public void A_power_cut_while_a_replay_is_under_way_changes_nothing()
    {
        History history = Record("24M", "-b 1024 -J size=1", 80 + Seed, (workload, _) => workload.Run(300));
        var random = new Random(Seed);
        foreach ((int cut, CrashDevice device) in history.States(history.Changes).Take(Math.Max(StateCount / 10, 5)))
        {
            byte[] bytes = new byte[device.ByteLength];
            device.Read(0, bytes);
            var recorded = new CrashDevice(bytes, isRecording: true);
            Ext4FileSystem.Open(recorded, Options).Dispose();
            foreach ((_, CrashDevice second) in new CrashStates(bytes, recorded.Changes, random.Next()).Take(5))
            {
                history.Judge(second, cut, toolFolder: null);
            }
        }
    }

    [Fact]
    public void A_state_read_without_writing_is_the_state_after_the_replay()
    {
        History history = Record("24M", "-b 1024 -J size=1", 90 + Seed, (workload, _) => workload.Run(300));
        foreach ((int cut, CrashDevice device) in history.States(history.Changes).Take(StateCount / 3))
        {
            using (var fs = Ext4FileSystem.Open(device, Options with { ReadOnly = true }))
            {
                Assert.True(fs.IsReadOnly);
                Assert.Null(history.Wrong(fs, cut));
            }

            byte[] before = new byte[device.ByteLength];
            device.Read(0, before);
            history.Judge(device, cut, toolFolder: null);
        }
    }

    /// <summary>Each order of writes that the commit relies on is taken away once; then the judge must object.</summary>
    [Theory]
    [InlineData("no flush before the commit block")]
    [InlineData("the commit block is not durable")]
    [InlineData("no flush before the tail moves")]
    [InlineData("the tail is not durable")]
    [InlineData("no flush at all")]
    public void The_judge_objects_when_an_order_is_taken_away(string fault)
    {
        History history = Record("24M", "-b 1024 -J size=1", 101, (workload, _) => workload.Run(3000));
        List<DeviceChange> weakened = Weaken(history.Changes, fault);
        int states = 0;
        foreach ((int cut, CrashDevice device) in history.States(weakened).Take(2000, fault.Contains("tail") ? PointsNearTails(history.Changes) : null))
        {
            states++;
            try
            {
                history.Judge(device, cut, toolFolder: null);
            }
            catch (Exception exception) when (exception is Xunit.Sdk.XunitException or VDiskException)
            {
                TestContext.Current.TestOutputHelper?.WriteLine($"{fault}: found by state {states}: {exception.Message}");
                return;
            }
        }

        Assert.Fail($"{states} states with \"{fault}\" and nothing wrong");
    }

    /// <summary>A tail that moves too early, or is lost, does harm only for a moment: a few changes around.</summary>
    private static int[] PointsNearTails(IReadOnlyList<DeviceChange> changes)
    {
        const int Before = 8;
        const int After = 5;
        var points = new SortedSet<int>();
        for (int i = 0; i < changes.Count; i++)
        {
            if (changes[i].IsJournalSuperblock)
            {
                points.UnionWith(Enumerable.Range(Math.Max(i - Before, 0), Before + After).Where(point => point <= changes.Count));
            }
        }

        return [.. points];
    }

    /// <summary>A history of the same length, so that its positions stay those of the diary.</summary>
    private static List<DeviceChange> Weaken(IReadOnlyList<DeviceChange> changes, string fault)
    {
        var nothing = new DeviceChange(0, [], false);
        var weakened = new List<DeviceChange>(changes);
        for (int i = 0; i < weakened.Count; i++)
        {
            DeviceChange change = weakened[i];
            DeviceChange next = i + 1 < weakened.Count ? weakened[i + 1] : nothing;
            weakened[i] = fault switch
            {
                "no flush before the commit block" when change.IsFlush && next.IsCommitBlock => nothing,
                "the commit block is not durable" when change.IsCommitBlock => change with { IsDurable = false },
                "no flush before the tail moves" when change.IsFlush && next.IsJournalSuperblock => nothing,
                "the tail is not durable" when change.IsJournalSuperblock => change with { IsDurable = false },
                "no flush at all" when change.IsFlush => nothing,
                _ => change,
            };
        }

        Assert.NotEqual(changes, weakened);
        return weakened;
    }

    private static History Record(
        string size, string format, int seed, Action<CrashWorkload, Func<string, CrashWorkload>> run)
    {
        byte[] original = MakeImage(size, format);
        var device = new CrashDevice(original, isRecording: true);
        var workloads = new List<CrashWorkload>();
        using (var fs = Ext4FileSystem.Open(device, Options))
        {
            CrashWorkload Make(string prefix)
            {
                var workload = new CrashWorkload(device, fs, seed + workloads.Count, prefix);
                workloads.Add(workload);
                return workload;
            }

            run(Make("f"), Make);
        }

        return new History(original, device.Changes, workloads, seed, Options);
    }

    /// <summary>A filesystem whose free blocks hold what no file ever held.</summary>
    private static byte[] MakeImage(string size, string format)
    {
        ExternalTool.Require("mke2fs");
        using var folder = new ScratchFolder();
        string path = folder["fs.img"];
        ExternalTool.Bash(
            "head -c $2 /dev/zero | tr '\\0' '\\333' > \"$1\"; mke2fs -q -F -t ext4 -E nodiscard,lazy_itable_init=0 $3 \"$1\"",
            path, size, format).Succeeded();
        return File.ReadAllBytes(path);
    }

    private sealed class History(
        byte[] original, IReadOnlyList<DeviceChange> changes, List<CrashWorkload> workloads, int seed, Ext4Options options)
    {
        /// <summary>One state in so many goes to e2fsck, which costs a process.</summary>
        private const int ToolSample = 12;

        public IReadOnlyList<DeviceChange> Changes => changes;

        public CrashStates States(IReadOnlyList<DeviceChange> from) => new(original, from, seed);

        public string? Wrong(Ext4FileSystem fs, int cut)
        {
            foreach (CrashWorkload workload in workloads)
            {
                if (workload.Judge(fs, cut) is { } wrong)
                {
                    return $"seed {seed}, cut at {cut} of {changes.Count}: {wrong}";
                }
            }

            return null;
        }

        public void JudgeAll(int count, bool withTools)
        {
            using var folder = new ScratchFolder();
            int done = 0;
            foreach ((int cut, CrashDevice device) in States(changes).Take(count).Concat(States(changes).Take(count / 2, PointsNearTails(changes))))
            {
                Judge(device, cut, withTools && done++ % ToolSample == 0 ? folder : null);
            }
        }

        public void Judge(CrashDevice device, int cut, ScratchFolder? toolFolder)
        {
            string path = toolFolder?["state.img"] ?? "";
            if (toolFolder is not null)
            {
                device.SaveTo(path);
                if (!IsTorn(device))
                {
                    JudgeRaw(path, cut);
                }
            }

            using (var fs = Ext4FileSystem.Open(device, options))
            {
                Assert.False(fs.IsReadOnly, $"seed {seed}, cut at {cut}: {string.Join(' ', fs.Notices)}");
                Assert.Empty(fs.Notices);
                string? wrong = Wrong(fs, cut);
                Assert.True(wrong is null, wrong);
            }

            if (toolFolder is not null)
            {
                device.SaveTo(path);
                AssertClean(path, cut);
            }
        }

        /// <summary>e2fsck replays the journal itself and finds nothing else to do.</summary>
        private void JudgeRaw(string path, int cut)
        {
            ToolResult result = ExternalTool.Run("e2fsck", "-fy", path);
            Assert.True(result.ExitCode is 0 or 1, $"seed {seed}, cut at {cut}: {result.Output}{result.Error}");
            IEnumerable<string> repairs = WithoutWhatTheKernelLeaves(result.Output).Split('\n').Where(line =>
                line.Contains("? yes") && !line.Contains("could be narrower") && !line.Contains("could be shorter"));
            Assert.True(!repairs.Any(), $"seed {seed}, cut at {cut}: {result.Output}{result.Error}");
        }

        /// <summary>The superblock's counters, stored at the end only, and the orphan file's flag are the same of the kernel.</summary>
        private static string WithoutWhatTheKernelLeaves(string output) =>
            System.Text.RegularExpressions.Regex.Replace(
                output,
                @"(Free (blocks|inodes) count wrong \(\d+, counted=\d+\)\.\nFix\? yes|"
                + @"Feature orphan_present is set but orphan file is clean\.\nClear\? yes|"
                + @"Orphan file \(inode \d+\) block \d+ is not clean\.\nClear\? yes)", "");

        private void AssertClean(string path, int cut)
        {
            ToolResult result = ExternalTool.Run("e2fsck", "-fn", path);
            IEnumerable<string> complaints = result.Output.Split('\n').Where(line =>
                line.Contains("? no") && !line.Contains("could be narrower") && !line.Contains("could be shorter"));
            Assert.True(result.ExitCode == 0 && !complaints.Any(), $"seed {seed}, cut at {cut}: {result.Output}{result.Error}");
        }

        /// <summary>The superblock's checksum does not match: e2fsck then wants to be told where a backup is.</summary>
        private static bool IsTorn(CrashDevice device)
        {
            var bytes = new byte[1024];
            device.Read(1024, bytes);
            return (BitConverter.ToUInt32(bytes, 0x64) & 0x400) != 0
                && BitConverter.ToUInt32(bytes, 0x3FC) != Crc32C.Update(uint.MaxValue, bytes.AsSpan(0, 0x3FC));
        }
    }
}
