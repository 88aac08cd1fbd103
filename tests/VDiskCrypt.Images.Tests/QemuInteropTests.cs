using VDiskCrypt.Core;
using VDiskCrypt.Testing;

namespace VDiskCrypt.Images.Tests;

public sealed class QemuInteropTests
{
    public static TheoryData<ImageFormat, long> Sizes
    {
        get
        {
            var data = new TheoryData<ImageFormat, long>();
            foreach (ImageFormat format in FormatCase.All)
            {
                foreach (long byteLength in (long[])[1L << 30, 512, 3 << 20, (100 << 20) + 512 * 7, (1L << 30) + 512 * 12345, 127L << 30])
                {
                    data.Add(format, byteLength);
                }
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Sizes))]
    public void Qemu_sees_the_exact_size_of_what_is_made_here(ImageFormat format, long byteLength)
    {
        ExternalTool.Require("qemu-img");
        using var scratch = new ScratchFolder();
        using (DiskImage image = ImageFormats.Create(scratch["disk"], format, byteLength))
        {
            Assert.Equal(byteLength, image.ByteLength);
            Assert.Equal(format, image.Format);
            Assert.Empty(image.Notices);
        }

        Assert.Equal(byteLength, FormatCase.QemuSize(scratch["disk"], format));
    }

    [Theory]
    [MemberData(nameof(FormatCase.Data), MemberType = typeof(FormatCase))]
    public void Qemu_reads_what_is_written_here(ImageFormat format)
    {
        ExternalTool.Require("qemu-img");
        using var scratch = new ScratchFolder();
        byte[] model = Pattern.Sparse(40 << 20, seed: 7);
        using (DiskImage image = ImageFormats.Create(scratch["disk"], format, model.Length))
        {
            Pattern.WriteNonZero(image, model);
        }

        File.WriteAllBytes(scratch["model"], model);
        ExternalTool.Run("qemu-img", "compare", "-f", format.QemuName(), "-F", "raw", scratch["disk"], scratch["model"])
            .ExpectSame();
        CheckWithQemu(scratch["disk"], format);
    }

    [Theory]
    [InlineData("qcow2", "qcow2")]
    [InlineData("vmdk", "VMDK")]
    [InlineData("vdi", "VDI")]
    public void A_format_that_is_not_handled_is_refused_by_its_name(string qemuName, string name)
    {
        ExternalTool.Require("qemu-img");
        using var scratch = new ScratchFolder();
        ExternalTool.Run("qemu-img", "create", "-q", "-f", qemuName, scratch["disk"], "8M").Succeeded();
        VDiskException failure = Assert.Throws<VDiskException>(() => ImageFormats.Open(scratch["disk"], ImageAccess.ReadOnly));
        Assert.Equal(FailureKind.Unsupported, failure.Kind);
        Assert.Contains(name, failure.Message);
    }

    [Theory]
    [MemberData(nameof(FormatCase.Data), MemberType = typeof(FormatCase))]
    public void Reads_and_changes_what_qemu_writes(ImageFormat format)
    {
        ExternalTool.Require("qemu-img");
        using var scratch = new ScratchFolder();
        byte[] model = Pattern.Sparse(40 << 20, seed: 8);
        File.WriteAllBytes(scratch["model"], model);
        string[] options = format.QemuCreateOptions() is { Length: > 0 } o ? ["-o", o] : [];
        ExternalTool.Run(
            "qemu-img", ["convert", "-f", "raw", "-O", format.QemuName(), .. options, scratch["model"], scratch["disk"]], null, 60_000)
            .Succeeded();
        using (DiskImage image = ImageFormats.Open(scratch["disk"], ImageAccess.ReadWrite))
        {
            Assert.Equal(format, image.Format);
            byte[] read = new byte[model.Length];
            image.Read(0, read);
            Assert.True(read.AsSpan().SequenceEqual(model));
            byte[] more = Pattern.Sparse(40 << 20, seed: 9);
            Pattern.WriteNonZero(image, more);
            Pattern.Merge(model, more);
            image.Read(0, read);
            Assert.True(read.AsSpan().SequenceEqual(model));
        }

        File.WriteAllBytes(scratch["model"], model);
        ExternalTool.Run("qemu-img", "compare", "-f", format.QemuName(), "-F", "raw", scratch["disk"], scratch["model"]).ExpectSame();
        CheckWithQemu(scratch["disk"], format);
    }

    [Fact]
    public void Vhdiinfo_knows_both_kinds_of_vhd_and_vhdx()
    {
        ExternalTool.Require("vhdiinfo");
        using var scratch = new ScratchFolder();
        foreach ((ImageFormat format, string type) in new[]
        {
            (ImageFormat.VhdFixed, "Fixed"), (ImageFormat.VhdDynamic, "Dynamic"),
            (ImageFormat.VhdxFixed, "Fixed"), (ImageFormat.VhdxDynamic, "Dynamic"),
        })
        {
            string path = scratch[format.ToString()];
            using (DiskImage image = ImageFormats.Create(path, format, 64 << 20))
            {
                image.Write(5 << 20, new byte[] { 1, 2, 3 });
            }

            string output = ExternalTool.Run("vhdiinfo", path).Succeeded().Output;
            Assert.Matches($@"Disk type\s*: {type}", output);
            Assert.Contains("(67108864 bytes)", output);
        }
    }

    internal static void CheckWithQemu(string path, ImageFormat format)
    {
        if (format is ImageFormat.VhdxDynamic or ImageFormat.VhdxFixed)
        {
            ExternalTool.Run("qemu-img", "check", "-f", "vhdx", path).Succeeded();
        }
    }
}
