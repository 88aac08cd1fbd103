using VDiskCrypt.Images;
using VDiskCrypt.Testing;

namespace VDiskCrypt.Images.Tests;

/// <summary>The registry of formats that the contract tests run over.</summary>
public static class FormatCase
{
    public static readonly ImageFormat[] All =
        [ImageFormat.Raw, ImageFormat.VhdFixed, ImageFormat.VhdDynamic, ImageFormat.VhdxFixed, ImageFormat.VhdxDynamic];

    public static TheoryData<ImageFormat> Data => new(All);

    /// <summary>What qemu-img calls the format.</summary>
    public static string QemuName(this ImageFormat format) => format switch
    {
        ImageFormat.Raw => "raw",
        ImageFormat.VhdFixed or ImageFormat.VhdDynamic => "vpc",
        _ => "vhdx",
    };

    public static string QemuCreateOptions(this ImageFormat format) => format switch
    {
        ImageFormat.VhdFixed => "subformat=fixed,force_size=on",
        ImageFormat.VhdDynamic => "subformat=dynamic,force_size=on",
        ImageFormat.VhdxFixed => "subformat=fixed",
        ImageFormat.VhdxDynamic => "subformat=dynamic",
        _ => "",
    };

    /// <summary>qemu-img info's virtual size of the image, in bytes.</summary>
    public static long QemuSize(string path, ImageFormat format)
    {
        string json = ExternalTool.Run("qemu-img", "info", "-f", format.QemuName(), "--output=json", path).Succeeded().Output;
        using var document = System.Text.Json.JsonDocument.Parse(json);
        return document.RootElement.GetProperty("virtual-size").GetInt64();
    }
}
