using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Fuse.Tests;

/// <summary>Extended attributes, access control lists, and who may do what.</summary>
public sealed class MountedAttributeTests
{
    [Theory]
    [InlineData(Mounter.Root)]
    [InlineData(Mounter.User)]
    [InlineData(Mounter.RootRing)]
    [InlineData(Mounter.UserRing)]
    public void Extended_attributes_are_set_listed_and_removed(Mounter mounter)
    {
        using HostProcess host = HostProcess.Start(mounter);
        host.Python("""
            f = M + '/f'; open(f, 'w').close()
            os.setxattr(f, 'user.one', b'1'); os.setxattr(f, 'user.two', bytes(range(256)))
            os.setxattr(f, 'user.empty', b'')
            os.setxattr(f, 'user.' + 'n' * 250, b'long name')
            assert os.getxattr(f, 'user.one') == b'1' and os.getxattr(f, 'user.two') == bytes(range(256))
            assert os.getxattr(f, 'user.empty') == b'' and os.getxattr(f, 'user.' + 'n' * 250) == b'long name'
            assert sorted(os.listxattr(f)) == sorted(['user.one', 'user.two', 'user.empty', 'user.' + 'n' * 250])
            os.setxattr(f, 'user.big', b'b' * 60000); assert os.getxattr(f, 'user.big') == b'b' * 60000
            def fails(code, call, *args):
                try: call(*args)
                except OSError as e: assert e.errno == code, e
                else: assert False
            fails(errno.EEXIST, os.setxattr, f, 'user.one', b'2', os.XATTR_CREATE)
            fails(errno.ENODATA, os.setxattr, f, 'user.none', b'2', os.XATTR_REPLACE)
            os.setxattr(f, 'user.one', b'2', os.XATTR_REPLACE); assert os.getxattr(f, 'user.one') == b'2'
            os.removexattr(f, 'user.one')
            fails(errno.ENODATA, os.getxattr, f, 'user.one')
            fails(errno.ENODATA, os.removexattr, f, 'user.one')
            libc = ctypes.CDLL(None, use_errno=True)
            small = ctypes.create_string_buffer(10)
            assert libc.getxattr(f.encode(), b'user.two', small, 10) == -1 and ctypes.get_errno() == errno.ERANGE
            """).Succeeded();
    }

    [Theory]
    [InlineData(Mounter.Root)]
    [InlineData(Mounter.User)]
    [InlineData(Mounter.RootRing)]
    [InlineData(Mounter.UserRing)]
    public void Access_control_lists_are_kept_inherited_and_masked(Mounter mounter)
    {
        ExternalTool.Require("setfacl");
        using HostProcess host = HostProcess.Start(mounter);
        host.Bash("""
            umask 022; touch $M/f; chmod 640 $M/f
            setfacl -m u:daemon:rw $M/f
            getfacl -cE $M/f | grep -q '^user:daemon:rw-'; getfacl -cE $M/f | grep -q '^mask::rw-'
            [ $(stat -c %a $M/f) = 660 ]
            chmod 600 $M/f; getfacl -cE $M/f | grep -q '^mask::---'; getfacl -cE $M/f | grep -q '^user:daemon:rw-'
            setfacl -b $M/f; ! getfacl -cE $M/f | grep -q daemon
            mkdir $M/d; setfacl -d -m u:daemon:rwx,g::rx,o::- $M/d
            umask 077; touch $M/d/f; mkdir $M/d/e
            getfacl -cE $M/d/f | grep -q '^user:daemon:rwx'; [ $(stat -c %a $M/d/f) = 660 ]
            getfacl -cE $M/d/e | grep -q '^default:user:daemon:rwx'
            setfacl -k $M/d; touch $M/d/g; [ $(stat -c %a $M/d/g) = 600 ]
            """).Succeeded();
    }

    [Theory]
    [InlineData(Mounter.Root)]
    [InlineData(Mounter.RootRing)]
    public void The_kernel_checks_permissions_and_lists_for_other_users(Mounter mounter)
    {
        ExternalTool.Require("setfacl");
        HostProcess.Require(Mounter.User);
        using HostProcess host = HostProcess.Start(mounter, "allow_other");
        host.Bash("""
            echo secret > $M/private; chmod 600 $M/private; echo shared > $M/shared; chmod 600 $M/shared
            setfacl -m u:vdisktest:r $M/shared; mkdir $M/closed; chmod 700 $M/closed; mkdir -m 1777 $M/open
            """).Succeeded();
        HostProcess.RunAs(Mounter.User, host.MountPoint, """
            ! cat $M/private 2>/dev/null; [ "$(cat $M/shared)" = shared ]; ! ls $M/closed 2>/dev/null
            echo mine > $M/open/mine; [ $(stat -c %U $M/open/mine) = vdisktest ]
            ! chown daemon $M/open/mine 2>/dev/null
            """).Succeeded();
    }

    [Theory]
    [InlineData(Mounter.Root, "writeback")]
    [InlineData(Mounter.Root, "writethrough")]
    [InlineData(Mounter.RootRing, "writeback")]
    public void Writing_takes_the_privileges_of_a_program_away(Mounter mounter, string mode)
    {
        HostProcess.Require(Mounter.User);
        using HostProcess host = HostProcess.Start(mounter, "allow_other", mode);
        host.Bash("cp /bin/true $M/p; cp /bin/true $M/q; cp /bin/true $M/r; chmod 6777 $M/p $M/q $M/r").Succeeded();
        HostProcess.RunAs(Mounter.User, host.MountPoint, "echo x >> $M/p; truncate -s 10 $M/q; fallocate -l 100k $M/r").Succeeded();
        host.Bash("""
            [ $(stat -c %a $M/p) = 777 ]; [ $(stat -c %a $M/q) = 777 ]; [ $(stat -c %a $M/r) = 777 ]
            chmod 4755 $M/p; chown daemon $M/p; [ $(stat -c %a $M/p) = 755 ]
            mkdir $M/d; chmod 2775 $M/d; chown daemon:daemon $M/d; [ $(stat -c %a $M/d) = 2775 ]
            touch $M/d/f; [ $(stat -c %G $M/d/f) = daemon ]
            """).Succeeded();
    }

    [Theory]
    [InlineData(Mounter.Root)]
    [InlineData(Mounter.RootRing)]
    public void Other_users_stay_out_unless_they_are_let_in(Mounter mounter)
    {
        HostProcess.Require(Mounter.User);
        using HostProcess host = HostProcess.Start(mounter);
        HostProcess.RunAs(Mounter.User, host.MountPoint, "! ls $M 2>/dev/null").Succeeded();
    }

    [Theory]
    [InlineData(Mounter.User)]
    [InlineData(Mounter.UserRing)]
    public void Devices_and_set_user_id_are_inert_on_a_users_mount(Mounter mounter)
    {
        using HostProcess host = HostProcess.Start(mounter);
        host.Bash("grep \" $M \" /proc/self/mountinfo | grep -q nosuid,nodev").Succeeded();
    }
}
