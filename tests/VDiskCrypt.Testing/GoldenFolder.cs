namespace VDiskCrypt.Testing;

/// <summary>tests/golden of the checkout that the tests run in.</summary>
public static class GoldenFolder
{
    public static string Find(string name)
    {
        for (string? folder = AppContext.BaseDirectory; folder is not null; folder = Path.GetDirectoryName(folder))
        {
            string candidate = Path.Combine(folder, "golden", name);
            if (Directory.Exists(candidate))
            {
                return candidate;
            }
        }

        throw new DirectoryNotFoundException($"golden/{name} lies above none of the folders of {AppContext.BaseDirectory}");
    }
}
