using VDiskCrypt.Images;

namespace VDiskCrypt.Volumes;

/// <summary>The names of the image formats that can be made, as the command spells them.</summary>
public static class ImageFormatNames
{
    private static readonly (string Name, ImageFormat Format)[] Names =
    [
        ("vhd", ImageFormat.VhdDynamic), ("vhd-fixed", ImageFormat.VhdFixed),
        ("vhdx", ImageFormat.VhdxDynamic), ("vhdx-fixed", ImageFormat.VhdxFixed), ("raw", ImageFormat.Raw),
    ];

    public static string[] All => [.. Names.Select(entry => entry.Name)];

    public static string Of(ImageFormat format) => Names.First(entry => entry.Format == format).Name;

    internal static ImageFormat Parse(string name) => Names.First(entry => entry.Name == name).Format;
}
