using System.Text;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Cli.Tests;

/// <summary>The formats are open: cryptsetup, grub, qemu-img and the kernel read what is written here.</summary>
public sealed class OtherReadersTests : IDisposable
{
    private readonly Installation _here = new();

    public void Dispose() => _here.Dispose();

    [Fact]
    public void Cryptsetup_accepts_header_and_passphrase()
    {
        ExternalTool.Require("cryptsetup");
        string image = _here.Create("disk.img", "64M");
        string dump = ExternalTool.Run("cryptsetup", "luksDump", image).Succeeded().Output;
        Assert.Contains("aes-xts-plain64", dump);
        ExternalTool.Run("cryptsetup", "open", "--test-passphrase", "--key-file", _here["passphrase"], image).Succeeded();
        File.WriteAllText(_here["wrong"], "wrong");
        Assert.Equal(2, ExternalTool.Run("cryptsetup", "open", "--test-passphrase", "--key-file", _here["wrong"], image).ExitCode);
    }

    [Fact]
    public void A_volume_that_cryptsetup_made_opens_here()
    {
        ExternalTool.Require("cryptsetup");
        File.WriteAllBytes(_here["theirs.img"], []);
        using (FileStream file = File.OpenWrite(_here["theirs.img"]))
        {
            file.SetLength(64 << 20);
        }

        ExternalTool.Run("cryptsetup", "luksFormat", "--batch-mode", "--pbkdf-memory", "65536", "--pbkdf-force-iterations", "4",
            "--key-file", _here["passphrase"], _here["theirs.img"]).Succeeded();
        ToolResult plain = _here.Expect(0, "decrypt", _here["theirs.img"], "-", "--passphrase-file", _here["passphrase"]);
        Assert.Equal((64 << 20) - (16 << 20), plain.OutputBytes.Length);
    }

    [Theory]
    [InlineData("disk.vhdx", "vhdx")]
    [InlineData("disk.vhdx", "vhdx-fixed")]
    [InlineData("disk.vhd", "vhd")]
    [InlineData("disk.vhd", "vhd-fixed")]
    public void Qemu_img_checks_and_reads_the_same_disk(string name, string format)
    {
        ExternalTool.Require("qemu-img");
        string image = _here.Create(name, "64M", "--format", format);
        File.WriteAllBytes(_here["data"] + ".bin", [.. Enumerable.Range(0, 5_000_000).Select(i => (byte)(i * 7))]);
        _here.Expect(0, "cp", _here["data"] + ".bin", $"{image}:/data", "--passphrase-file", _here["passphrase"]);
        string qemuFormat = format.StartsWith("vhdx", StringComparison.Ordinal) ? "vhdx" : "vpc";
        if (qemuFormat == "vhdx")
        {
            ExternalTool.Run("qemu-img", "check", "-f", qemuFormat, image).Succeeded();
        }

        ExternalTool.Run("qemu-img", "convert", "-f", qemuFormat, "-O", "raw", image, _here["copy.img"]).Succeeded();
        ExternalTool.Run("qemu-img", "compare", "-f", qemuFormat, "-F", "raw", image, _here["copy.img"]).Succeeded();
        string plain = _here.Decrypt(image);
        byte[] viaQemu = _here.Expect(0, "decrypt", _here["copy.img"], "-", "--passphrase-file", _here["passphrase"]).OutputBytes;
        Assert.Equal(File.ReadAllBytes(plain), viaQemu);
    }

    [Fact]
    public void Grub_reads_a_file_out_of_a_PBKDF2_volume()
    {
        ExternalTool.Require("grub-fstest");
        string image = _here.Create("disk.img", "64M");
        File.WriteAllText(_here["greeting"], "read by grub\n");
        _here.Expect(0, "cp", _here["greeting"], $"{image}:/greeting", "--passphrase-file", _here["passphrase"]);
        ToolResult cat = ExternalTool.Run("grub-fstest", ["-C", image, "cat", "(crypto0)/greeting"],
            Encoding.ASCII.GetBytes(Installation.Passphrase + "\n"), timeoutMs: 120_000);
        Assert.Contains("read by grub", cat.Output);
    }

    [Fact]
    [Trait("needs", "root")]
    public void The_kernels_own_dm_crypt_and_ext4_read_and_write_the_volume()
    {
        Installation.RequireFuse();
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "the guest needs root to install its kernel");
        string guest = Checkout.Tool("linux-guest");
        string image = _here.Create("disk.img", "96M");
        string folder = _here.Mount(image);
        ExternalTool.Bash("""
            set -e; cd "$1"; mkdir -p d/e; for i in $(seq 300); do echo $i > d/file$i; done; head -c 5000000 /dev/urandom > big
            setfattr -n user.a -v b big; ln -s big link; ln big hard; sha256sum big > big.sum
            """, folder).Succeeded();
        _here.Unmount(folder);
        ToolResult inGuest = ExternalTool.Run(guest, ["-d", image, "-t", "240", "--", $"""
            set -e; modprobe -a dm-crypt xts ext4; cryptsetup open --key-file {_here["passphrase"]} /dev/vda v
            e2fsck -fn /dev/mapper/v; mount /dev/mapper/v /mnt; cd /mnt; sha256sum -c big.sum; [ $(ls d | wc -l) = 301 ]
            [ $(cat d/file123) = 123 ]; cmp link hard; mkdir kernel; for i in $(seq 200); do echo k$i > kernel/$i; done
            rm d/file7; head -c 3000000 /dev/urandom > kernel/big; sha256sum kernel/big > kernel/sum; cd /; umount /mnt; cryptsetup close v; sync; echo all-well
            """], null, timeoutMs: 280_000);
        Assert.True(inGuest.ExitCode == 0 && inGuest.Output.Contains("all-well"), inGuest.Output + inGuest.Error);
        folder = _here.Mount(image);
        ExternalTool.Bash("""
            set -e; cd "$1"; sha256sum -c kernel/sum; [ "$(cat kernel/77)" = k77 ]; [ ! -e d/file7 ]; sha256sum -c big.sum; rm -r kernel
            """, folder).Succeeded();
        _here.Unmount(folder);
        _here.AssertFileSystemIsClean(image);
    }
}
