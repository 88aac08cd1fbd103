using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Cli.Tests;

/// <summary>Little memory, and a host without space.</summary>
public sealed class ResourceTests : IDisposable
{
    private readonly Installation _here = new();

    public void Dispose() => _here.Dispose();

    [Fact]
    [Trait("needs", "root")]
    public void Four_gigabytes_go_through_a_daemon_in_a_cgroup_of_256_MiB()
    {
        Installation.RequireFuse();
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "making a cgroup needs root");
        Assert.SkipUnless(
            Directory.Exists("/sys/fs/cgroup/memory") || File.Exists("/sys/fs/cgroup/cgroup.controllers"), "there are no memory cgroups");
        string image = _here.Create("disk.vhdx", "5G");
        ExternalTool.Bash("""
            set -e
            # The memory controller is in the v2 hierarchy or, on systems that keep v1, in one of its own.
            root=/sys/fs/cgroup limit=memory.max kills=memory.events
            if [ -d $root/memory ]; then root=$root/memory limit=memory.limit_in_bytes kills=memory.oom_control; fi
            group=$root/vdiskcrypt-test-$$
            [ ! -e $root/cgroup.subtree_control ] || echo +memory > $root/cgroup.subtree_control
            mkdir $group
            trap 'fusermount3 -u -z "$2" 2>/dev/null || true; for p in $(cat $group/cgroup.procs); do echo $p > $root/cgroup.procs || true; done; rmdir $group || true' EXIT
            echo 256M > $group/$limit
            mounted() { (echo $BASHPID > $group/cgroup.procs
              exec env VDISKCRYPT_DATA_DIR="$3" VDISKCRYPT_RUNTIME_DIR="$4" "$5" mount "$1" "$2" --passphrase-file "$6"); }
            mounted "$@"
            grep -q . $group/cgroup.procs
            head -c 67108864 /dev/urandom > "$1.seed"
            for d in $(seq 64); do mkdir "$2/$d"; { echo $d; cat "$1.seed"; } > "$2/$d/file"; (cd "$2/$d"; for f in $(seq 20); do echo $d-$f > $f; done); done
            fusermount3 -u "$2"
            for i in $(seq 600); do grep -q . $group/cgroup.procs || break; sleep 0.1; done
            mounted "$@"
            for d in $(seq 64); do { echo $d; cat "$1.seed"; } | cmp - "$2/$d/file"; [ "$(cat "$2/$d/7")" = $d-7 ]; done
            grep -qx 'oom_kill 0' $group/$kills
            fusermount3 -u "$2"
            for i in $(seq 600); do grep -q . $group/cgroup.procs || break; sleep 0.1; done
            """, image, Directory.CreateDirectory(_here["mnt"]).FullName, _here["data"], _here["run"], Installation.Command, _here["passphrase"]).Succeeded();
    }

    [Fact]
    [Trait("needs", "root")]
    public void A_full_host_fails_the_writer_and_loses_nothing_else()
    {
        Installation.RequireFuse();
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "mounting a small tmpfs needs root");
        Directory.CreateDirectory(_here["small"]);
        ExternalTool.Run("mount", "-t", "tmpfs", "-o", "size=96M", "tmpfs", _here["small"]).Succeeded();
        try
        {
            string image = _here.Create("small/disk.img", "512M");
            string folder = _here.Mount(image);
            // Not syncfs: the kernel asks no FUSE server for that.
            ExternalTool.Bash("head -c 20000000 /dev/urandom > \"$1/kept\"; sync \"$1/kept\" \"$1\"; sha256sum < \"$1/kept\" > \"$2\"", folder, _here["sum"]).Succeeded();
            ToolResult filler = ExternalTool.Run("dd", "if=/dev/urandom", $"of={folder}/filler", "bs=1M", "count=300", "conv=fsync");
            Assert.NotEqual(0, filler.ExitCode);
            Assert.Matches("No space left|Input/output error", filler.Error);
            ExternalTool.Bash("[ \"$(sha256sum < \"$1/kept\")\" = \"$(cat \"$2\")\" ]", folder, _here["sum"]).Succeeded();
            _here.Run("unmount", folder);
            ExternalTool.Run("mount", "-o", "remount,size=700M", _here["small"]).Succeeded();
            folder = _here.Mount(image, "again");
            ExternalTool.Bash("[ \"$(sha256sum < \"$1/kept\")\" = \"$(cat \"$2\")\" ]", folder, _here["sum"]).Succeeded();
            _here.Unmount(folder);
        }
        finally
        {
            ExternalTool.Run("umount", "-l", _here["small"]);
        }
    }
}
