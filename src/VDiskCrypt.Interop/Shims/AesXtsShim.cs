using System.Runtime.InteropServices;

namespace VDiskCrypt.Interop.Shims;

/// <summary>
/// native-shims/aes-xts: AES-XTS by VAES. The library is optional; where it is missing, nothing is supported. It is
/// looked for beside the program only, never on a search path that others may write to.
/// </summary>
public static unsafe class AesXtsShim
{
    private const string FileName = "libvdiskcrypt-aes-xts.so";

    private static readonly nint Library = Load();

    private static readonly int Supported = Library == 0 ? 0 : ((delegate* unmanaged<int>)Export("vdiskcrypt_xts_supported"))();

    /// <summary>The 256-bit kernel runs here.</summary>
    public static bool Has256 => (Supported & 1) != 0;

    /// <summary>The 512-bit kernel runs here.</summary>
    public static bool Has512 => (Supported & 2) != 0;

    /// <summary>One of vdiskcrypt_xts_{encrypt,decrypt}_{256,512}; only where the width is supported.</summary>
    public static delegate* unmanaged<byte*, byte*, int, ulong, ulong, nuint, byte*, byte*, nuint, void> Kernel(bool encrypt, int width) =>
        (delegate* unmanaged<byte*, byte*, int, ulong, ulong, nuint, byte*, byte*, nuint, void>)Export(
            $"vdiskcrypt_xts_{(encrypt ? "encrypt" : "decrypt")}_{width}");

    private static nint Export(string name) => NativeLibrary.GetExport(Library, name);

    private static nint Load()
    {
        string path = Path.Combine(AppContext.BaseDirectory, FileName);
        return File.Exists(path) && NativeLibrary.TryLoad(path, out nint library) ? library : 0;
    }
}
