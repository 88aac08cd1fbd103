namespace VDiskCrypt.Testing;

/// <summary>The checkout that the tests run in.</summary>
public static class Checkout
{
    /// <summary>A script of tools/, or of a copy that VDISKCRYPT_TOOLS names (for users who may not read the checkout).</summary>
    public static string Tool(string name) =>
        Path.Combine(Environment.GetEnvironmentVariable("VDISKCRYPT_TOOLS") ?? Path.Combine(Root, "tools"), name);

    /// <summary>The folder of VDiskCrypt.sln.</summary>
    public static string Root
    {
        get
        {
            for (string? folder = AppContext.BaseDirectory; folder is not null; folder = Path.GetDirectoryName(folder))
            {
                if (File.Exists(Path.Combine(folder, "VDiskCrypt.sln")))
                {
                    return folder;
                }
            }

            throw new DirectoryNotFoundException($"no folder above {AppContext.BaseDirectory} holds VDiskCrypt.sln");
        }
    }
}
