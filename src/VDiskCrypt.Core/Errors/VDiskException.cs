namespace VDiskCrypt.Core;

/// <summary>
/// A failure with what a user needs: what failed (<see cref="Exception.Message"/>), where (file, structure, byte
/// offset) and what to do about it. Never carries a secret.
/// </summary>
public sealed class VDiskException : IOException
{
    /// <param name="kind">The kind, which decides the exit code and the errno.</param>
    /// <param name="what">One line: what failed.</param>
    /// <param name="where">One line: the file, the structure and the byte offset, as far as known.</param>
    /// <param name="remedy">One line: what the user can do.</param>
    /// <param name="inner">The cause, if another exception is one.</param>
    public VDiskException(FailureKind kind, string what, string? where = null, string? remedy = null, Exception? inner = null)
        : base(what, inner)
    {
        Kind = kind;
        Where = where;
        Remedy = remedy;
    }

    public FailureKind Kind { get; }

    public string? Where { get; }

    public string? Remedy { get; }

    /// <summary>A structure on disk that contradicts its specification.</summary>
    public static VDiskException Damaged(string structure, long byteOffset, string what, string? remedy = null) =>
        new(FailureKind.Damaged, what, $"{structure} at byte {byteOffset}", remedy);

    /// <summary>A valid structure that uses something this program does not handle.</summary>
    public static VDiskException Unsupported(string structure, string what, string? remedy = null) =>
        new(FailureKind.Unsupported, what, structure, remedy);

    /// <summary>The same failure with the file (or other outer place) put in front of where it happened.</summary>
    public VDiskException Within(string place) =>
        new(Kind, Message, Where is null ? place : $"{place}: {Where}", Remedy, InnerException);
}
