namespace VDiskCrypt.Testing;

/// <summary>A folder of one test's own, removed with everything in it by Dispose.</summary>
public sealed class ScratchFolder : IDisposable
{
    public ScratchFolder() => FullPath = Directory.CreateTempSubdirectory("vdiskcrypt-test-").FullName;

    public string FullPath { get; }

    public string this[string name] => Path.Combine(FullPath, name);

    public void Dispose() => Directory.Delete(FullPath, recursive: true);
}
