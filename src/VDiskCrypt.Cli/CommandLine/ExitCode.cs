using VDiskCrypt.Core;

namespace VDiskCrypt.Cli;

/// <summary>The command's exit codes: an ABI for scripts, never renumbered.</summary>
internal static class ExitCode
{
    public const int Done = 0;
    public const int Internal = 1;
    public const int Usage = 2;
    public const int NotFound = 3;
    public const int WrongCredential = 4;
    public const int KekRefused = 5;
    public const int KekUnreachable = 6;
    public const int Damaged = 7;
    public const int Unsupported = 8;
    public const int InUse = 9;
    public const int InputOutput = 10;
    public const int NotPermitted = 11;
    public const int Interrupted = 12;

    public static int Of(FailureKind kind) => kind switch
    {
        FailureKind.Internal => Internal,
        FailureKind.Usage => Usage,
        FailureKind.NotFound => NotFound,
        FailureKind.WrongCredential => WrongCredential,
        FailureKind.KekRefused => KekRefused,
        FailureKind.KekUnreachable => KekUnreachable,
        FailureKind.Damaged => Damaged,
        FailureKind.Unsupported => Unsupported,
        FailureKind.InUse => InUse,
        FailureKind.NoSpace or FailureKind.InputOutput => InputOutput,
        FailureKind.NotPermitted or FailureKind.ReadOnly => NotPermitted,
        FailureKind.Interrupted => Interrupted,
        _ => Internal,
    };
}
