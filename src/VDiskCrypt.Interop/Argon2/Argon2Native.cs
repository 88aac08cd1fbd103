using System.Runtime.InteropServices;

namespace VDiskCrypt.Interop.Argon2;

/// <summary>
/// libargon2 (the reference implementation, version 20171227 and newer; ABI 1) where the host has it. Loaded at first
/// use and never required.
/// </summary>
public static unsafe class Argon2Native
{
    public const int ARGON2_OK = 0;
    public const int ARGON2_MEMORY_ALLOCATION_ERROR = -22;
    public const int ARGON2_THREAD_FAIL = -33;
    public const uint ARGON2_VERSION_13 = 0x13;
    public const uint ARGON2_DEFAULT_FLAGS = 0;
    public const int Argon2_d = 0;
    public const int Argon2_i = 1;
    public const int Argon2_id = 2;

    private static readonly string[] LibraryNames = OperatingSystem.IsWindows()
        ? ["libargon2.dll", "argon2.dll"]
        : ["libargon2.so.1", "libargon2.so.0", "libargon2.1.dylib"];

    private static readonly nint ContextFunction = Load();

    public static bool IsAvailable => ContextFunction != 0;

    /// <summary>int argon2_ctx(argon2_context *context, argon2_type type)</summary>
    public static int argon2_ctx(Argon2_Context* context, int type) =>
        ((delegate* unmanaged[Cdecl]<Argon2_Context*, int, int>)ContextFunction)(context, type);

    private static nint Load()
    {
        foreach (string name in LibraryNames)
        {
            if (NativeLibrary.TryLoad(name, out nint library)
                && NativeLibrary.TryGetExport(library, "argon2_ctx", out nint function))
            {
                return function;
            }
        }

        return 0;
    }
}
