namespace VDiskCrypt.Testing;

/// <summary>The checkout that the tests run in.</summary>
public static class Checkout
{
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
