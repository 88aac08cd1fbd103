using System.Runtime.InteropServices;

namespace VDiskCrypt.Interop.Argon2;

/// <summary>struct Argon2_Context of argon2.h (version 20171227).</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct Argon2_Context
{
    public byte* @out;
    public uint outlen;
    public byte* pwd;
    public uint pwdlen;
    public byte* salt;
    public uint saltlen;
    public byte* secret;
    public uint secretlen;
    public byte* ad;
    public uint adlen;
    public uint t_cost;
    public uint m_cost;
    public uint lanes;
    public uint threads;
    public uint version;

    /// <summary>int (*)(uint8_t **memory, size_t bytes_to_allocate)</summary>
    public delegate* unmanaged[Cdecl]<byte**, nuint, int> allocate_cbk;

    /// <summary>void (*)(uint8_t *memory, size_t bytes_to_allocate)</summary>
    public delegate* unmanaged[Cdecl]<byte*, nuint, void> free_cbk;

    public uint flags;
}
