using System.Text;
using VDiskCrypt.Core;

namespace VDiskCrypt.Cli;

/// <summary>Asks for a passphrase without echo. The characters go straight into secret memory, one by one.</summary>
internal static class PassphrasePrompt
{
    /// <summary>Bytes of UTF-8; the limit of cryptsetup's own prompt.</summary>
    public const int MaximumByteCount = 512;

    /// <summary>Ctrl-D.</summary>
    private const char EndOfTransmission = '\x04';

    /// <summary>Ctrl-U.</summary>
    private const char EraseLine = '\x15';

    public static bool IsPossible => !System.Console.IsInputRedirected;

    /// <exception cref="VDiskException">Usage when there is no terminal to ask at, or it was left empty.</exception>
    public static SecretMemory Ask(string prompt)
    {
        if (!IsPossible)
        {
            throw new VDiskException(FailureKind.Usage, "a passphrase is needed and there is no terminal to ask for it", null,
                "use --passphrase-file FILE (- is standard input), --key-file FILE or --passphrase-fd N");
        }

        System.Console.Error.Write(prompt);
        using var typed = new SecretMemory(MaximumByteCount);
        int byteCount = ReadLine(typed.Span);
        System.Console.Error.WriteLine();
        return byteCount > 0 ? SecretMemory.Take(typed.Span[..byteCount])
            : throw new VDiskException(FailureKind.Usage, "the passphrase is empty", null, "type at least one character");
    }

    /// <summary>Asks twice and compares.</summary>
    public static SecretMemory AskNew(string prompt)
    {
        SecretMemory first = Ask(prompt);
        using SecretMemory second = Ask("Again: ");
        if (first.ByteCount == second.ByteCount && first.ContentEquals(second))
        {
            return first;
        }

        first.Dispose();
        throw new VDiskException(FailureKind.Usage, "the two passphrases differ", null, "try again");
    }

    private static int ReadLine(Span<byte> typed)
    {
        int byteCount = 0;
        Span<char> character = stackalloc char[2];
        int pending = 0;
        while (true)
        {
            ConsoleKeyInfo key = System.Console.ReadKey(intercept: true);
            switch (key.Key)
            {
                case ConsoleKey.Enter:
                    return byteCount;
                case ConsoleKey.Backspace:
                    byteCount = WithoutLastCharacter(typed, byteCount);
                    continue;
            }

            switch (key.KeyChar)
            {
                case EndOfTransmission:
                    return byteCount;
                case EraseLine:
                    typed.Clear();
                    byteCount = 0;
                    continue;
                case < ' ' and not '\t':
                    // Never part of a passphrase: a terminal that edits lines itself, as cryptsetup's prompt has, keeps them.
                    continue;
            }

            character[pending++] = key.KeyChar;
            if (char.IsHighSurrogate(key.KeyChar) && pending == 1)
            {
                continue;
            }

            if (!Encoding.UTF8.TryGetBytes(character[..pending], typed[byteCount..], out int written))
            {
                throw new VDiskException(FailureKind.Usage, $"the passphrase is longer than {MaximumByteCount} bytes", null,
                    "use --passphrase-file FILE for a longer one");
            }

            byteCount += written;

            pending = 0;
            character.Clear();
        }
    }

    private static int WithoutLastCharacter(Span<byte> typed, int byteCount)
    {
        const int ContinuationMask = 0xC0;
        const int Continuation = 0x80;
        while (byteCount > 0)
        {
            byteCount--;
            byte removed = typed[byteCount];
            typed[byteCount] = 0;
            if ((removed & ContinuationMask) != Continuation)
            {
                break;
            }
        }

        return byteCount;
    }
}
