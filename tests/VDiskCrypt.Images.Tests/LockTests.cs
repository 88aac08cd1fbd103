using System.Diagnostics;
using VDiskCrypt.Core;
using VDiskCrypt.Testing;

namespace VDiskCrypt.Images.Tests;

public sealed class LockTests
{
    [Theory]
    [MemberData(nameof(FormatCase.Data), MemberType = typeof(FormatCase))]
    public void Qemu_stays_out_of_an_image_that_is_open_here(ImageFormat format)
    {
        ExternalTool.Require("qemu-io");
        using var scratch = new ScratchFolder();
        using (ImageFormats.Create(scratch["disk"], format, 8 << 20))
        {
            string[][] writers =
            [
                ["qemu-io", "-f", format.QemuName(), "-c", "write 0 512", scratch["disk"]],
                ["qemu-img", "resize", "-f", "raw", scratch["disk"], "+1M"],
            ];

            // A format with metadata cannot be read while it changes; of a raw image QEMU lets itself read anything.
            string[][] readers =
            [
                ["qemu-io", "-r", "-f", format.QemuName(), "-c", "read 0 512", scratch["disk"]],
                ["qemu-img", "convert", "-f", format.QemuName(), "-O", "raw", scratch["disk"], scratch["copy"]],
            ];
            foreach (string[] command in format == ImageFormat.Raw ? writers : [.. writers, .. readers])
            {
                ToolResult refused = ExternalTool.Run(command[0], command[1..]);
                Assert.NotEqual(0, refused.ExitCode);
                Assert.Contains("lock", refused.Error);
            }
        }

        ExternalTool.Run("qemu-io", "-f", format.QemuName(), "-c", "write 0 512", scratch["disk"]).Succeeded();
    }

    [Fact]
    public void Qemu_reads_beside_a_reader_and_does_not_write()
    {
        ExternalTool.Require("qemu-io");
        using var scratch = new ScratchFolder();
        ImageFormats.Create(scratch["disk"], ImageFormat.VhdxDynamic, 8 << 20).Dispose();
        using DiskImage reader = ImageFormats.Open(scratch["disk"], ImageAccess.ReadOnly);
        ExternalTool.Run("qemu-io", "-r", "-f", "vhdx", "-c", "read 0 512", scratch["disk"]).Succeeded();
        ToolResult refused = ExternalTool.Run("qemu-io", "-f", "vhdx", "-c", "write 0 512", scratch["disk"]);
        Assert.NotEqual(0, refused.ExitCode);
        Assert.Contains("lock", refused.Error);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void An_image_that_qemu_holds_is_refused_with_its_process(bool qemuReadsOnly)
    {
        ExternalTool.Require("qemu-io");
        using var scratch = new ScratchFolder();
        ImageFormats.Create(scratch["disk"], ImageFormat.VhdxDynamic, 8 << 20).Dispose();
        var start = new ProcessStartInfo(ExternalTool.Find("qemu-io")!) { RedirectStandardInput = true, RedirectStandardOutput = true };
        foreach (string argument in (string[])[.. qemuReadsOnly ? ["-r"] : Array.Empty<string>(), "-f", "vhdx", scratch["disk"]])
        {
            start.ArgumentList.Add(argument);
        }

        using Process qemu = Process.Start(start)!;
        try
        {
            qemu.StandardInput.WriteLine("read 0 512");
            Assert.Contains("read", qemu.StandardOutput.ReadLine());
            VDiskException failure = Assert.Throws<VDiskException>(() => ImageFormats.Open(scratch["disk"], ImageAccess.ReadWrite));
            Assert.Equal(FailureKind.InUse, failure.Kind);
            Assert.Contains($"process {qemu.Id} (qemu-io)", failure.Message);
            if (qemuReadsOnly)
            {
                ImageFormats.Open(scratch["disk"], ImageAccess.ReadOnly).Dispose();
            }
            else
            {
                Assert.Equal(
                    FailureKind.InUse,
                    Assert.Throws<VDiskException>(() => ImageFormats.Open(scratch["disk"], ImageAccess.ReadOnly)).Kind);
            }
        }
        finally
        {
            qemu.StandardInput.Close();
            if (!qemu.WaitForExit(10_000))
            {
                qemu.Kill();
            }
        }

        ImageFormats.Open(scratch["disk"], ImageAccess.ReadWrite).Dispose();
    }

    [Fact]
    public void Readers_share_and_a_writer_is_alone()
    {
        using var scratch = new ScratchFolder();
        using (ImageFormats.Create(scratch["disk"], ImageFormat.VhdDynamic, 8 << 20))
        {
            foreach (ImageAccess access in (ImageAccess[])[ImageAccess.ReadOnly, ImageAccess.ReadWrite])
            {
                VDiskException failure = Assert.Throws<VDiskException>(() => ImageFormats.Open(scratch["disk"], access));
                Assert.Equal(FailureKind.InUse, failure.Kind);
                Assert.Contains("this process itself", failure.Message);
            }
        }

        using DiskImage first = ImageFormats.Open(scratch["disk"], ImageAccess.ReadOnly);
        using (ImageFormats.Open(scratch["disk"], ImageAccess.ReadOnly))
        {
            Assert.Equal(
                FailureKind.InUse, Assert.Throws<VDiskException>(() => ImageFormats.Open(scratch["disk"], ImageAccess.ReadWrite)).Kind);
        }

        first.Dispose();
        ImageFormats.Open(scratch["disk"], ImageAccess.ReadWrite).Dispose();
    }

    [Fact]
    public void The_header_lock_excludes_flock_and_lasts_only_as_long_as_it_is_held()
    {
        ExternalTool.Require("flock");
        using var scratch = new ScratchFolder();
        using DiskImage image = ImageFormats.Create(scratch["disk"], ImageFormat.Raw, 8 << 20);

        // An open image does not keep cryptsetup's lock: luksDump beside a mount works.
        ExternalTool.Run("flock", "-n", "-x", scratch["disk"], "true").Succeeded();
        using (HeaderFlock.Acquire(image.File))
        {
            Assert.NotEqual(0, ExternalTool.Run("flock", "-n", "-x", scratch["disk"], "true").ExitCode);
        }

        ExternalTool.Run("flock", "-n", "-x", scratch["disk"], "true").Succeeded();
    }

    [Fact]
    public void Waiting_for_the_header_lock_ends()
    {
        using var scratch = new ScratchFolder();
        File.WriteAllBytes(scratch["a"], new byte[512]);
        using HostFile first = HostFile.Open(scratch["a"], HostFileMode.ReadWrite);
        using HostFile second = HostFile.Open(scratch["a"], HostFileMode.ReadWrite);
        using (HeaderFlock.Acquire(first))
        {
            Assert.Equal(FailureKind.InUse, Assert.Throws<VDiskException>(() => HeaderFlock.Acquire(second, timeoutMs: 100)).Kind);
        }

        HeaderFlock.Acquire(second, timeoutMs: 100).Dispose();
    }
}
