using System.Text;
using VDiskCrypt.Core;
using Xunit;

namespace VDiskCrypt.Keys.Tests;

public sealed class RecoveryKeyTests
{
    [Fact]
    public void What_was_made_reads_back_as_itself()
    {
        for (int i = 0; i < 200; i++)
        {
            using SecretMemory made = RecoveryKey.Create();
            using SecretMemory? read = RecoveryKey.Canonicalize(made.Span, out int wrongGroup);
            Assert.NotNull(read);
            Assert.Equal(0, wrongGroup);
            Assert.True(made.ContentEquals(read));
        }
    }

    [Fact]
    public void Case_blanks_and_look_alikes_do_not_matter()
    {
        using SecretMemory made = RecoveryKey.Create();
        string text = Encoding.ASCII.GetString(made.Span);
        string sloppy = " " + text.ToLowerInvariant().Replace('-', ' ').Replace('0', 'o').Replace('1', 'l') + " ";
        using SecretMemory? read = RecoveryKey.Canonicalize(Encoding.ASCII.GetBytes(sloppy), out _);
        Assert.NotNull(read);
        Assert.True(made.ContentEquals(read));
    }

    [Fact]
    public void Any_single_slip_is_found_in_its_group()
    {
        const string alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        using SecretMemory made = RecoveryKey.Create();
        byte[] text = made.Span.ToArray();
        for (int position = 0; position < text.Length; position++)
        {
            if (text[position] == (byte)'-')
            {
                continue;
            }

            foreach (char wrong in alphabet.Where(letter => letter != text[position]))
            {
                byte[] slipped = [.. text];
                slipped[position] = (byte)wrong;
                Assert.Null(RecoveryKey.Canonicalize(slipped, out int wrongGroup));
                Assert.Equal((position / 7) + 1, wrongGroup);
            }
        }
    }

    [Fact]
    public void Two_neighbours_swapped_are_found()
    {
        using SecretMemory made = RecoveryKey.Create();
        byte[] text = made.Span.ToArray();
        for (int i = 0; i < 5; i++)
        {
            if (text[i] == text[i + 1])
            {
                continue;
            }

            byte[] swapped = [.. text];
            (swapped[i], swapped[i + 1]) = (swapped[i + 1], swapped[i]);
            Assert.Null(RecoveryKey.Canonicalize(swapped, out int wrongGroup));
            Assert.Equal(1, wrongGroup);
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("correct horse battery staple")]
    [InlineData("password!")]
    [InlineData("correct-horse-battery-staple-and-more-and-more-and-more-and-more")]
    [InlineData("AAAAAA-BBBBBB")]
    public void An_ordinary_passphrase_is_not_taken_for_one(string passphrase)
    {
        Assert.Null(RecoveryKey.Canonicalize(Encoding.UTF8.GetBytes(passphrase), out int wrongGroup));
        Assert.Equal(0, wrongGroup);
    }
}
