using VDiskCrypt.Core;

namespace VDiskCrypt.Keys;

/// <summary>
/// A recovery key: 200 random bits that a person can read out and type. Eight groups of six characters of Crockford's
/// base 32; in each group five carry 25 bits and the sixth checks them, so a slip is found in the group where it
/// happened. The canonical text (upper case, groups joined by '-') is the passphrase of a keyslot, so that cryptsetup
/// takes it as it is printed.
/// </summary>
public static class RecoveryKey
{
    public const int GroupCount = 8;
    public const int GroupLength = 6;
    public const int TextLength = (GroupCount * GroupLength) + GroupCount - 1;

    private const string Alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

    /// <summary>The text of a new key, as ASCII bytes.</summary>
    public static SecretMemory Create()
    {
        using SecretMemory values = SecretMemory.Random(GroupCount * (GroupLength - 1));
        var text = new SecretMemory(TextLength);
        Span<byte> target = text.Span;
        for (int group = 0; group < GroupCount; group++)
        {
            Span<byte> characters = target.Slice(group * (GroupLength + 1), GroupLength);
            int check = group;
            for (int i = 0; i < GroupLength - 1; i++)
            {
                int value = values.Span[(group * (GroupLength - 1)) + i] & 31;
                characters[i] = (byte)Alphabet[value];
                check = NextCheck(check, value);
            }

            characters[GroupLength - 1] = (byte)Alphabet[NextCheck(check, 0)];
            if (group < GroupCount - 1)
            {
                target[(group * (GroupLength + 1)) + GroupLength] = (byte)'-';
            }
        }

        return text;
    }

    /// <summary>
    /// The canonical form of what was typed, when it has the shape of a recovery key: case, blanks and dashes do not
    /// matter, O reads as 0, I and L as 1.
    /// </summary>
    /// <param name="typed">ASCII or UTF-8 bytes.</param>
    /// <param name="wrongGroup">The first group, from 1, whose check fails; 0 when all hold or it is no recovery key.</param>
    /// <returns>Null when it is not a whole and checked recovery key.</returns>
    public static SecretMemory? Canonicalize(ReadOnlySpan<byte> typed, out int wrongGroup)
    {
        wrongGroup = 0;
        var text = new SecretMemory(TextLength);
        Span<byte> target = text.Span;
        int count = 0;
        int check = 0;
        foreach (byte character in typed)
        {
            if (character is (byte)' ' or (byte)'-' or (byte)'\t')
            {
                continue;
            }

            int value = ValueOf(character);
            if (value < 0 || count == GroupCount * GroupLength)
            {
                // It has not the shape of a recovery key: a group that failed before says nothing.
                wrongGroup = 0;
                text.Dispose();
                return null;
            }

            int group = count / GroupLength;
            int position = count % GroupLength;
            check = position == 0 ? group : check;
            if (position < GroupLength - 1)
            {
                check = NextCheck(check, value);
            }
            else if (NextCheck(check, 0) != value && wrongGroup == 0)
            {
                wrongGroup = group + 1;
            }

            target[(group * (GroupLength + 1)) + position] = (byte)Alphabet[value];
            if (position == 0 && group > 0)
            {
                target[(group * (GroupLength + 1)) - 1] = (byte)'-';
            }

            count++;
        }

        if (count == GroupCount * GroupLength && wrongGroup == 0)
        {
            return text;
        }

        wrongGroup = count == GroupCount * GroupLength ? wrongGroup : 0;
        text.Dispose();
        return null;
    }

    /// <summary>
    /// One step of a checksum over GF(32) (multiply by the generator 2 modulo x^5+x^2+1, add): any single wrong
    /// character changes the result, and so does any swap of two neighbours: each place has a weight of its own, the check
    /// character, for which one more step is taken, among them.
    /// </summary>
    private static int NextCheck(int check, int value)
    {
        int doubled = check << 1;
        return ((doubled & 32) != 0 ? doubled ^ 0b100101 : doubled) ^ value;
    }

    private static int ValueOf(byte character)
    {
        char upper = char.ToUpperInvariant((char)character);
        upper = upper switch { 'O' => '0', 'I' or 'L' => '1', _ => upper };
        return Alphabet.IndexOf(upper, StringComparison.Ordinal);
    }
}
