using System.Runtime.InteropServices;

namespace VDiskCrypt.Interop.Windows;

/// <summary>kernel32.dll's calls, under their own names.</summary>
public static partial class Kernel32
{
    private const string Library = "kernel32.dll";

    public const uint MEM_COMMIT = 0x1000;
    public const uint MEM_RESERVE = 0x2000;
    public const uint MEM_RELEASE = 0x8000;
    public const uint PAGE_READWRITE = 4;

    [LibraryImport(Library, SetLastError = true)]
    public static partial nint VirtualAlloc(nint address, nuint size, uint allocationType, uint protection);

    [LibraryImport(Library, SetLastError = true)]
    [return: MarshalAs(UnmanagedType.Bool)]
    public static partial bool VirtualFree(nint address, nuint size, uint freeType);

    [LibraryImport(Library, SetLastError = true)]
    [return: MarshalAs(UnmanagedType.Bool)]
    public static partial bool VirtualLock(nint address, nuint size);

    /// <summary>Keeps a range out of error reports; HRESULT, 0 when done.</summary>
    [LibraryImport(Library)]
    public static partial int WerRegisterExcludedMemoryBlock(nint address, uint size);
}
