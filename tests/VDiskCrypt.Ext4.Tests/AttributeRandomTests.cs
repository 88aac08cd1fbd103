using System.Globalization;
using VDiskCrypt.Core;
using Xunit;

namespace VDiskCrypt.Ext4.Tests;

public sealed class AttributeRandomTests
{
    private const int FileCount = 8;
    private const int StepCount = 1500;
    private const int RoundCount = 3;

    [Theory]
    [MemberData(nameof(AttributeKit.Formats), MemberType = typeof(AttributeKit))]
    public void Random_attributes_are_what_the_model_says(string format)
    {
        using var image = new Ext4Image("16M", format.Split(' '));
        var model = new SortedDictionary<string, byte[]>[FileCount];
        var random = new Random(11);
        int refusedCount = 0;
        for (int round = 0; round < RoundCount; round++)
        {
            using (var session = new Session(image, new Ext4Options { MetadataCacheByteLimit = 1 << 18, CommitIntervalMs = 20 }))
            {
                var files = new ulong[FileCount];
                for (int i = 0; i < FileCount; i++)
                {
                    model[i] ??= new SortedDictionary<string, byte[]>(StringComparer.Ordinal);
                    files[i] = round == 0 ? session.MakeFile($"/f{i}") : session.Find($"/f{i}");
                    Verify(session, files[i], model[i]);
                }

                for (int step = 0; step < StepCount; step++)
                {
                    int i = random.Next(FileCount);
                    refusedCount += Step(session, files[i], model[i], random);
                    Verify(session, files[i], model[i]);
                }
            }

            image.AssertClean();
        }

        Assert.InRange(refusedCount, 1, StepCount * RoundCount / 2);
    }

    /// <returns>1 when there was no room.</returns>
    private static int Step(Session session, ulong file, SortedDictionary<string, byte[]> model, Random random)
    {
        string[] prefixes = ["user.", "trusted.", "security."];
        string name = prefixes[random.Next(3)] + new string('n', random.Next(6)) + random.Next(5).ToString(CultureInfo.InvariantCulture);
        if (random.Next(3) == 0)
        {
            FileSystemError expected = model.Remove(name) ? FileSystemError.None : FileSystemError.NoAttribute;
            Assert.Equal(expected, session.RemoveAttribute(file, name));
            return 0;
        }

        byte[] value = AttributeKit.Bytes(random.Next(4) == 0 ? random.Next(700) : random.Next(40), random.Next());
        FileSystemError error = session.SetAttribute(file, name, value);
        if (error == FileSystemError.NoSpace)
        {
            return 1;
        }

        Assert.Equal(FileSystemError.None, error);
        model[name] = value;
        return 0;
    }

    private static void Verify(Session session, ulong file, SortedDictionary<string, byte[]> model)
    {
        Assert.Equal(model.Keys, session.ListAttributes(file));
        foreach ((string name, byte[] value) in model)
        {
            Assert.Equal(value, session.GetAttribute(file, name));
        }
    }
}
