using Xunit;

namespace VDiskCrypt.Fuse.Tests;

/// <summary>What programs do with files and directories, on real mounts of root and of an ordinary user.</summary>
public sealed class MountedFileTests
{
    public static TheoryData<Mounter, string> Mounts => new()
    {
        { Mounter.Root, "writeback" },
        { Mounter.Root, "writethrough" },
        { Mounter.User, "writeback" },
        { Mounter.RootRing, "writeback" },
        { Mounter.RootRing, "writethrough" },
        { Mounter.UserRing, "writeback" },
    };

    [Theory]
    [MemberData(nameof(Mounts))]
    public void Files_are_created_read_changed_and_removed(Mounter mounter, string mode)
    {
        using HostProcess host = HostProcess.Start(mounter, mode);
        host.Bash("""
            echo one > $M/a; echo two >> $M/a
            [ "$(cat $M/a)" = "$(printf 'one\ntwo')" ]
            [ $(stat -c %s $M/a) = 8 ]
            truncate -s 5 $M/a; [ "$(od -An -tx1 $M/a | tr -d ' \n')" = 6f6e650a74 ]
            truncate -s 9 $M/a; [ "$(od -An -tx1 $M/a | tr -d ' \n')" = 6f6e650a7400000000 ]
            cp /bin/bash $M/bash; cmp /bin/bash $M/bash; [ "$($M/bash -c 'echo runs')" = runs ]
            dd if=/dev/urandom of=/tmp/vdc-random.$$ bs=1M count=9 status=none
            cp /tmp/vdc-random.$$ $M/random; cmp /tmp/vdc-random.$$ $M/random
            printf X | dd of=$M/random bs=1 seek=4500000 conv=notrunc status=none
            printf X | dd of=/tmp/vdc-random.$$ bs=1 seek=4500000 conv=notrunc status=none
            cmp /tmp/vdc-random.$$ $M/random; rm /tmp/vdc-random.$$
            umask 027; touch $M/masked; [ $(stat -c %a $M/masked) = 640 ]; mkdir $M/maskedDir; [ $(stat -c %a $M/maskedDir) = 750 ]
            chmod 4711 $M/masked; [ $(stat -c %a $M/masked) = 4711 ]
            [ $(stat -c %u $M/masked) = $(id -u) ]
            rm $M/a; ! cat $M/a 2>/dev/null; [ ! -e $M/a ]
            [ "$(ls $M | tr '\n' ' ')" = "bash masked maskedDir random " ]
            """).Succeeded();
        Assert.StartsWith("DONE", host.Stop(), StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Mounts))]
    public void Links_and_directories_behave_as_posix_has_it(Mounter mounter, string mode)
    {
        using HostProcess host = HostProcess.Start(mounter, mode);
        host.Bash("""
            mkdir -p $M/d/e/f; [ $(stat -c %h $M/d) = 3 ]
            ! rmdir $M/d 2>/dev/null
            echo x > $M/d/file; ln $M/d/file $M/hard; [ $(stat -c %h $M/hard) = 2 ]
            [ $(stat -c %i $M/hard) = $(stat -c %i $M/d/file) ]
            echo y >> $M/hard; [ "$(cat $M/d/file | tr '\n' ' ')" = "x y " ]
            rm $M/d/file; [ $(stat -c %h $M/hard) = 1 ]; [ "$(head -1 $M/hard)" = x ]
            ln -s d/e $M/soft; [ "$(readlink $M/soft)" = d/e ]; [ -d $M/soft/f ]
            ln -s $(printf 'n%.0s' $(seq 4000)) $M/long; [ $(readlink $M/long | wc -c) = 4001 ]
            mv $M/d $M/moved; [ -d $M/moved/e/f ]; [ ! -e $M/d ]
            echo 1 > $M/p; echo 2 > $M/q; mv $M/p $M/q; [ "$(cat $M/q)" = 1 ]
            ! mv $M/moved $M/moved/e 2>/dev/null
            ! mkdir $M/moved 2>/dev/null
            ! ls $M/nothing 2>/dev/null; touch $M/nothing; ls $M/nothing
            touch $M/$(printf 'n%.0s' $(seq 255)); ! touch $M/$(printf 'n%.0s' $(seq 256)) 2>/dev/null
            touch "$M/"$'bytes \xff\xfe \n not text'; ls "$M/"$'bytes \xff\xfe \n not text' >/dev/null
            rm -r $M/moved; [ ! -e $M/moved ]
            """).Succeeded();
    }

    [Theory]
    [MemberData(nameof(Mounts))]
    public void Ten_thousand_entries_are_listed_once_each(Mounter mounter, string mode)
    {
        using HostProcess host = HostProcess.Start(mounter, mode);
        host.Bash("""
            mkdir $M/many; cd $M/many; seq -f 'entry-%05g' 1 10000 | xargs touch
            cd /; [ $(ls -f $M/many | grep -c entry) = 10000 ]
            [ "$(ls $M/many | md5sum)" = "$(seq -f 'entry-%05g' 1 10000 | md5sum)" ]
            [ $(ls -l $M/many | grep -c ' entry') = 10000 ]
            [ $(find $M/many -type f | wc -l) = 10000 ]
            rm -r $M/many; [ "$(ls -A $M)" = "" ]
            """).Succeeded();
    }

    [Theory]
    [InlineData(Mounter.Root)]
    [InlineData(Mounter.User)]
    [InlineData(Mounter.RootRing)]
    [InlineData(Mounter.UserRing)]
    public void Renames_honour_their_flags(Mounter mounter)
    {
        using HostProcess host = HostProcess.Start(mounter);
        host.Python("""
            libc = ctypes.CDLL(None, use_errno=True)
            def rename(a, b, flags):
                r = libc.renameat2(-100, (M + a).encode(), -100, (M + b).encode(), flags)
                return 0 if r == 0 else ctypes.get_errno()
            open(M + '/a', 'w').write('a'); open(M + '/b', 'w').write('b')
            assert rename('/a', '/b', 1) == errno.EEXIST
            assert rename('/a', '/b', 2) == 0
            assert open(M + '/a').read() == 'b' and open(M + '/b').read() == 'a'
            assert rename('/a', '/none', 2) == errno.ENOENT
            assert rename('/a', '/c', 1) == 0
            assert sorted(os.listdir(M)) == ['b', 'c']
            if os.getuid() == 0:
                assert rename('/c', '/d', 4) == 0
                s = os.stat(M + '/c')
                assert stat.S_ISCHR(s.st_mode) and s.st_rdev == 0
            """).Succeeded();
    }

    [Theory]
    [MemberData(nameof(Mounts))]
    public void A_file_lives_on_while_it_is_open(Mounter mounter, string mode)
    {
        using HostProcess host = HostProcess.Start(mounter, mode);
        host.Python("""
            fd = os.open(M + '/f', os.O_RDWR | os.O_CREAT)
            os.write(fd, b'x' * 100000)
            os.unlink(M + '/f')
            assert os.fstat(fd).st_nlink == 0 and os.listdir(M) == []
            os.pwrite(fd, b'tail', 200000)
            assert os.pread(fd, 10, 99998) == b'xx' + bytes(8)
            assert os.pread(fd, 10, 200000) == b'tail'
            os.fsync(fd)
            os.close(fd)
            import time
            for i in range(100):
                if os.statvfs(M).f_bfree == os.statvfs(M).f_blocks: break
                time.sleep(0.05)
            else: assert False, 'the blocks of a closed file without a name are not free'
            d = os.open(M, os.O_RDONLY)
            os.mkdir(M + '/d'); dd = os.open(M + '/d', os.O_RDONLY); os.rmdir(M + '/d')
            assert os.listdir(dd) == []
            """).Succeeded();
    }

    [Theory]
    [MemberData(nameof(Mounts))]
    public void Unnamed_files_can_be_made_and_then_named(Mounter mounter, string mode)
    {
        using HostProcess host = HostProcess.Start(mounter, mode);
        host.Python("""
            fd = os.open(M, os.O_TMPFILE | os.O_RDWR, 0o640)
            os.write(fd, b'contents')
            assert os.listdir(M) == []
            assert ctypes.CDLL(None).linkat(-100, b'/proc/self/fd/%d' % fd, -100, (M + '/named').encode(), 0x400) == 0
            os.close(fd)
            assert open(M + '/named').read() == 'contents'
            assert os.stat(M + '/named').st_mode & 0o777 == 0o640
            fd = os.open(M, os.O_TMPFILE | os.O_RDWR)
            os.write(fd, b'gone'); os.close(fd)
            assert os.listdir(M) == ['named']
            """).Succeeded();
    }

    [Theory]
    [MemberData(nameof(Mounts))]
    public void Memory_maps_read_and_write(Mounter mounter, string mode)
    {
        using HostProcess host = HostProcess.Start(mounter, mode);
        host.Python("""
            fd = os.open(M + '/f', os.O_RDWR | os.O_CREAT)
            os.truncate(fd, 3 << 20)
            m = mmap.mmap(fd, 3 << 20)
            m[1000000:1000005] = b'hello'
            m[0:1] = b'!'
            m.flush()
            assert os.pread(fd, 5, 1000000) == b'hello'
            os.pwrite(fd, b'there', 2000000)
            assert m[2000000:2000005] == b'there'
            m.close(); os.close(fd)
            data = open(M + '/f', 'rb').read()
            assert len(data) == 3 << 20 and data[1000000:1000005] == b'hello' and data[0:1] == b'!' and data[2000000:2000005] == b'there'
            """).Succeeded();
    }

    [Theory]
    [MemberData(nameof(Mounts))]
    public void Direct_io_reads_what_buffered_io_wrote_and_the_other_way_round(Mounter mounter, string mode)
    {
        using HostProcess host = HostProcess.Start(mounter, mode);
        host.Bash("""
            dd if=/dev/urandom of=$M/direct bs=1M count=5 oflag=direct status=none
            dd if=$M/direct of=$M/copy bs=64k status=none
            dd if=$M/copy bs=1M iflag=direct status=none | cmp - $M/direct
            dd if=/dev/zero of=$M/copy bs=4k count=1 seek=3 oflag=direct conv=notrunc status=none
            dd if=$M/copy bs=4k count=1 skip=3 status=none | cmp - <(head -c 4096 /dev/zero)
            [ $(stat -c %s $M/direct) = 5242880 ]
            """).Succeeded();
    }

    [Theory]
    [MemberData(nameof(Mounts))]
    public void Holes_are_punched_and_space_is_allocated(Mounter mounter, string mode)
    {
        using HostProcess host = HostProcess.Start(mounter, mode);
        host.Bash("""
            fallocate -l 1M $M/f; [ $(stat -c %s:%b $M/f) = 1048576:2048 ]
            fallocate -n -o 1M -l 64k $M/f; [ $(stat -c %s $M/f) = 1048576 ]
            yes | head -c 1048576 > $M/g; sync $M/g
            fallocate -p -o 4096 -l 8192 $M/g
            [ $(stat -c %s:%b $M/g) = 1048576:2032 ]
            dd if=$M/g bs=4096 skip=1 count=2 status=none | cmp - <(head -c 8192 /dev/zero)
            dd if=$M/g bs=4096 skip=3 count=1 status=none | cmp - <(yes | head -c 4096)
            fallocate -z -o 100 -l 100 $M/g
            dd if=$M/g bs=100 skip=1 count=1 status=none | cmp - <(head -c 100 /dev/zero)
            ! fallocate -c -o 0 -l 4096 $M/g 2>/dev/null
            """).Succeeded();
    }

    [Theory]
    [InlineData(Mounter.Root)]
    [InlineData(Mounter.RootRing)]
    public void Holes_are_found_where_writes_go_through(Mounter mounter)
    {
        using HostProcess host = HostProcess.Start(mounter, "writethrough");
        host.Python("""
            fd = os.open(M + '/f', os.O_RDWR | os.O_CREAT)
            os.truncate(fd, 1 << 20)
            os.pwrite(fd, b'x' * 4096, 65536)
            assert os.lseek(fd, 0, os.SEEK_DATA) == 65536
            assert os.lseek(fd, 65536, os.SEEK_HOLE) == 69632
            assert os.lseek(fd, 0, os.SEEK_HOLE) == 0
            try: os.lseek(fd, 70000, os.SEEK_DATA); assert False
            except OSError as e: assert e.errno == errno.ENXIO
            """).Succeeded();
    }

    [Theory]
    [InlineData(Mounter.Root)]
    [InlineData(Mounter.RootRing)]
    public void Data_that_wait_in_the_writeback_cache_are_never_taken_for_a_hole(Mounter mounter)
    {
        using HostProcess host = HostProcess.Start(mounter, "writeback");
        host.Python("""
            fd = os.open(M + '/f', os.O_RDWR | os.O_CREAT)
            os.truncate(fd, 1 << 20)
            os.pwrite(fd, b'x' * 4096, 65536)
            found = os.lseek(fd, 0, os.SEEK_DATA)
            assert found <= 65536, found
            assert os.lseek(fd, 65536, os.SEEK_HOLE) > 65536
            """).Succeeded();
    }

    [Theory]
    [MemberData(nameof(Mounts))]
    public void Times_keep_their_nanoseconds(Mounter mounter, string mode)
    {
        using HostProcess host = HostProcess.Start(mounter, mode);
        host.Bash("""
            touch -d '2001-02-03 04:05:06.123456789 UTC' $M/f
            TZ=UTC stat -c '%y' $M/f | grep -q '2001-02-03 04:05:06.123456789'
            touch -a -d '1969-12-31 23:59:58.5 UTC' $M/f
            TZ=UTC stat -c '%x' $M/f | grep -q '1969-12-31 23:59:58.500000000'
            TZ=UTC stat -c '%y' $M/f | grep -q '2001-02-03 04:05:06.123456789'
            touch $M/f; [ $(( $(date +%s) - $(stat -c %Y $M/f) )) -lt 5 ]
            [ $(( $(date +%s) - $(stat -c %W $M/f) )) -lt 60 ]; [ $(stat -c %W $M/f) -gt 0 ]
            cp -p $M/f $M/g; [ "$(stat -c %y $M/f)" = "$(stat -c %y $M/g)" ]
            """).Succeeded();
    }

    [Theory]
    [InlineData(Mounter.Root)]
    [InlineData(Mounter.RootRing)]
    public void Special_files_work(Mounter mounter)
    {
        using HostProcess host = HostProcess.Start(mounter);
        host.Bash("""
            mkfifo $M/fifo; (echo through > $M/fifo &) ; [ "$(timeout 10 cat $M/fifo)" = through ]
            mknod $M/null c 1 3; echo x > $M/null; [ "$(stat -c %t:%T $M/null)" = 1:3 ]
            mknod $M/high b 300 70000; [ "$(stat -c %t:%T $M/high)" = 12c:11170 ]
            python3 -c "import socket,sys; s=socket.socket(socket.AF_UNIX); s.bind('$M/socket')"; [ -S $M/socket ]
            """).Succeeded();
    }

    [Theory]
    [InlineData(Mounter.Root)]
    [InlineData(Mounter.RootRing)]
    public void Fio_verifies_what_it_wrote(Mounter mounter)
    {
        VDiskCrypt.Testing.ExternalTool.Require("fio");
        using HostProcess host = HostProcess.Start(mounter, "stats");
        host.Bash("""
            fio --directory=$M --name=v --size=32M --numjobs=2 --rw=randrw --bsrange=512-256k --verify=crc32c --verify_fatal=1 \
                --do_verify=1 --end_fsync=1 --group_reporting --thread --output=/dev/null
            fio --directory=$M --name=w --size=16M --rw=write --bs=1M --direct=1 --verify=crc32c --verify_fatal=1 --output=/dev/null
            """).Succeeded();
        Assert.Contains("FailureCount = 0", host.Stop(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(Mounter.Root)]
    [InlineData(Mounter.User)]
    [InlineData(Mounter.RootRing)]
    [InlineData(Mounter.UserRing)]
    public void Requests_of_one_mebibyte_arrive(Mounter mounter)
    {
        using HostProcess host = HostProcess.Start(mounter, "stats");
        host.Bash("dd if=/dev/zero of=$M/f bs=4M count=4 oflag=direct status=none; dd if=$M/f of=/dev/null bs=4M iflag=direct status=none").Succeeded();
        string statistics = host.Stop();
        Assert.Contains("LargestReadByteCount = 1048576", statistics, StringComparison.Ordinal);
        Assert.Contains("LargestWriteByteCount = 1048576", statistics, StringComparison.Ordinal);
    }
}
