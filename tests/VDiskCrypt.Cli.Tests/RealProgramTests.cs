using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Cli.Tests;

/// <summary>Real programs at work on a mount; e2fsck finds nothing afterwards.</summary>
public sealed class RealProgramTests : IDisposable
{
    private readonly Installation _here = new();

    public void Dispose() => _here.Dispose();

    [Fact]
    public void The_dotnet_sdk_copied_in_is_the_same_after_the_next_mount()
    {
        string sdk = Path.GetDirectoryName(File.ResolveLinkTarget(ExternalTool.Find("dotnet")!, true)?.FullName ?? ExternalTool.Find("dotnet")!)!;
        OnMount("2G", """
            cp -a "$2" "$1/sdk"
            """, sdk);
        OnMount(null, """
            diff -r --no-dereference "$2" "$1/sdk"
            cd "$2" && find . -printf '%p %y %m %s %l\n' | grep -v ' d ' | sort > "$3.a"
            cd "$1/sdk" && find . -printf '%p %y %m %s %l\n' | grep -v ' d ' | sort > "$3.b"
            diff "$3.a" "$3.b"
            """, sdk, _here["list"]);
    }

    [Fact]
    public void Git_clones_and_finds_its_objects_whole()
    {
        ExternalTool.Require("git");
        OnMount("512M", """
            export HOME="$1" GIT_CONFIG_NOSYSTEM=1
            git init -q "$1/origin"; cd "$1/origin"; git config user.name t; git config user.email t@example.invalid
            for i in $(seq 200); do head -c $((i * 100)) /dev/urandom > f$i; git add f$i; [ $((i % 20)) -ne 0 ] || git commit -q -m $i; done
            git clone -q --no-local "$1/origin" "$1/clone"; cd "$1/clone"; git fsck --full --strict; git gc -q; git fsck --full
            """);
    }

    [Fact]
    public void Sqlite_keeps_its_integrity()
    {
        ExternalTool.Require("sqlite3");
        OnMount("256M", """
            for mode in delete wal; do
              sqlite3 "$1/$mode.db" "pragma journal_mode=$mode; create table t(a integer primary key, b blob);
                with recursive n(i) as (select 1 union all select i+1 from n where i<20000) insert into t select i, randomblob(200) from n;
                delete from t where a % 3 = 0; update t set b = randomblob(300) where a % 5 = 0; vacuum;"
              [ "$(sqlite3 "$1/$mode.db" 'pragma integrity_check')" = ok ]
            done
            """);
    }

    [Fact]
    public void Fio_verifies_what_it_wrote()
    {
        ExternalTool.Require("fio");
        OnMount("512M", """
            fio --directory="$1" --size=32M --verify=crc32c --verify_fatal=1 --do_verify=1 --group_reporting --minimal \
              --name=seq --rw=write --bs=1M --stonewall --name=rand --rw=randwrite --bs=4k --stonewall \
              --name=mix --rw=randrw --bsrange=512-64k --numjobs=2 --fsync=64 --stonewall \
              --name=mmap --ioengine=mmap --rw=randwrite --bs=4k --stonewall \
              --name=direct --direct=1 --rw=randwrite --bs=4k > /dev/null
            """);
    }

    [Fact]
    public void Stress_ng_finds_no_fault_in_the_filesystem()
    {
        ExternalTool.Require("stress-ng");
        OnMount("512M", """
            cd "$1"
            stress-ng --temp-path "$1" --verify --timeout 6 --hdd 1 --hdd-bytes 16m --dir 1 --dirdeep 1 --dirmany 1 --dentry 1 --dentries 512 \
              --rename 1 --link 1 --symlink 1 --fallocate 1 --fallocate-bytes 16m --filename 1 --filename-opts posix --seek 1 --seek-size 4m \
              --touch 1 --xattr 1 --chmod 1 --chown 1 --fstat 1 --getdent 1 --handle 1 --io 1 --iomix 1 \
              --iomix-bytes 16m --lease 1 --lockf 1 --locka 1 --lockofd 1 --flock 1 --open 1 --readahead 1 --readahead-bytes 16m --sync-file 1 \
              --sync-file-bytes 8m --utime 1
            ! find "$1" -name 'tmp-stress-ng*' | grep .
            """);
    }

    [Fact]
    public void Special_files_attributes_and_acls_survive_a_remount()
    {
        ExternalTool.Require("setfacl");
        OnMount("64M", """
            cd "$1"; mkfifo fifo; touch f; setfattr -n user.color -v blue f; setfacl -m u:12345:r f
            mkdir d; setfacl -d -m g:54321:rwx d; touch d/inherits
            [ "$(id -u)" -ne 0 ] || { mknod dev c 1 3; chown 5:6 f; chmod 4711 f; }
            touch -d '1969-12-31 23:59:58.123456789 UTC' f
            """);
        OnMount(null, """
            cd "$1"; [ -p fifo ]; [ "$(getfattr --only-values -n user.color f)" = blue ]
            getfacl -cn f | grep -q '^user:12345:r--'; getfacl -cn d/inherits | grep -q '^group:54321:rwx'
            [ "$(id -u)" -ne 0 ] || { [ "$(stat -c %t:%T dev)" = 1:3 ]; [ "$(stat -c %u:%g:%a f)" = 5:6:4711 ]; }
            [ "$(stat -c %y f)" = "$(TZ=$TZ date -d '1969-12-31 23:59:58.123456789 UTC' '+%Y-%m-%d %H:%M:%S.%N %z')" ]
            """);
    }

    /// <summary>Runs a script with the mount point as $1 and further arguments behind; makes the image where a size is given.</summary>
    private void OnMount(string? size, string script, params string[] arguments)
    {
        Installation.RequireFuse();
        string image = _here["disk.vhdx"];
        if (size is not null)
        {
            _here.Create("disk.vhdx", size);
        }

        string folder = _here.Mount(image);
        ExternalTool.Bash("set -e -o pipefail\n" + script, [folder, .. arguments]).Succeeded();
        _here.Unmount(folder);
        _here.AssertFileSystemIsClean(image);
    }
}
