using System.Text.RegularExpressions;
using System.Xml.Linq;
using VDiskCrypt.Testing;
using Xunit;

namespace VDiskCrypt.Core.Tests;

/// <summary>Holds the source tree against src/README.md.</summary>
public sealed partial class RoomTests
{
    private static readonly string Sources = Path.Combine(Checkout.Root, "src");

    [Fact]
    public void Project_references_agree_with_the_table_of_rooms()
    {
        Dictionary<string, string[]> allowed = File.ReadAllLines(Path.Combine(Sources, "README.md"))
            .Select(line => TableRow().Match(line))
            .Where(match => match.Success)
            .ToDictionary(match => match.Groups[1].Value, match => match.Groups[2].Value.Split(',', StringSplitOptions.TrimEntries));
        string[] projects = Directory.GetFiles(Sources, "*.csproj", SearchOption.AllDirectories);
        Assert.Equal(projects.Select(Path.GetFileNameWithoutExtension).Order(), allowed.Keys.Order());
        foreach (string project in projects)
        {
            IEnumerable<string> references = XDocument.Load(project).Descendants("ProjectReference")
                .Select(reference => Path.GetFileNameWithoutExtension(reference.Attribute("Include")!.Value))
                .Select(name => name["VDiskCrypt.".Length..]);
            Assert.Empty(references.Except(allowed[Path.GetFileNameWithoutExtension(project)]));
        }
    }

    [Fact]
    public void Native_calls_stay_in_the_interop_room() =>
        Assert.DoesNotContain(FilesWith("LibraryImport(", "DllImport("), file => !file.Contains("VDiskCrypt.Interop"));

    [Fact]
    public void The_console_stays_in_the_command() =>
        Assert.DoesNotContain(FilesWith("Console."), file => !file.Contains("VDiskCrypt.Cli"));

    private static IEnumerable<string> FilesWith(params string[] texts) =>
        Directory.EnumerateFiles(Sources, "*.cs", SearchOption.AllDirectories)
            .Where(file => !file.Contains("/obj/") && !file.Contains("/bin/"))
            .Where(file => texts.Any(File.ReadAllText(file).Contains));

    [GeneratedRegex(@"^\| (VDiskCrypt\.\w+) \|[^|]*\| (.*) \|$")]
    private static partial Regex TableRow();
}
