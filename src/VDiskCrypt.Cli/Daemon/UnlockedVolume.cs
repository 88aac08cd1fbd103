using System.Text.Json.Nodes;
using VDiskCrypt.Core;

namespace VDiskCrypt.Cli;

/// <summary>A volume key with what there is to say about how it was come by.</summary>
internal sealed class UnlockedVolume(SecretMemory key) : IDisposable
{
    public SecretMemory Key { get; } = key;

    public List<string> Notices { get; } = [];

    /// <summary>Lines of the result, such as a new recovery key.</summary>
    public List<string> Lines { get; } = [];

    /// <summary>The result as JSON.</summary>
    public JsonObject Document { get; } = [];

    public void Dispose() => Key.Dispose();
}
