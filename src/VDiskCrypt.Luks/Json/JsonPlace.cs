using VDiskCrypt.Core;

namespace VDiskCrypt.Luks;

/// <summary>Where in a header a JSON value stands, for messages.</summary>
internal readonly record struct JsonPlace(string Header, long ByteOffset, string Path = "")
{
    public JsonPlace this[string name] => this with { Path = Path.Length == 0 ? name : $"{Path}.{name}" };

    public VDiskException Damaged(string what) =>
        VDiskException.Damaged(
            Path.Length == 0 ? $"{Header}, JSON area" : $"{Header}, JSON {Path}", ByteOffset, what,
            "restore the header from a backup");

    public VDiskException Unsupported(string what, string? remedy = null) =>
        VDiskException.Unsupported($"{Header}, JSON {Path}", what, remedy);
}
