/*
 * The wide AES-XTS kernels: VAES with 256-bit and with 512-bit vectors, which .NET's intrinsics do not reach. Optional at
 * run time. Thin: fixed-size types, no allocation, no policy; the caller chooses and checks the arguments.
 *
 * data_keys are the expanded round keys for the direction (for decryption those of the equivalent inverse cipher,
 * FIPS 197 section 5.3.5), tweak_keys those of encryption by the second half; rounds is 10 or 14. Sectors are multiples of
 * 512 bytes; byte_count is a multiple of the sector size. Source and target are the same or do not overlap.
 */
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static void wipe(void *memory, size_t byte_count)
{
    memset(memory, 0, byte_count);
    __asm__ volatile("" : : "r"(memory) : "memory");
}

/* Bit 0: the 256-bit kernel runs here. Bit 1: the 512-bit kernel runs here. The system's support for the registers counts. */
int vdiskcrypt_xts_supported(void)
{
    __builtin_cpu_init();
    int wide = __builtin_cpu_supports("vaes") && __builtin_cpu_supports("vpclmulqdq");
    int has256 = wide && __builtin_cpu_supports("avx2");
    int has512 = wide && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    return has256 | has512 << 1;
}

#pragma GCC push_options
#pragma GCC target("avx2,vaes,vpclmulqdq")
#define W 32
#define VEC __m256i
#define NAME(x) x##_256
#define OP_XOR _mm256_xor_si256
#define OP_AND _mm256_and_si256
#define OP_AESENC _mm256_aesenc_epi128
#define OP_AESENCLAST _mm256_aesenclast_epi128
#define OP_AESDEC _mm256_aesdec_epi128
#define OP_AESDECLAST _mm256_aesdeclast_epi128
#define OP_LOAD(p) _mm256_loadu_si256((const __m256i *)(p))
#define OP_STORE(p, v) _mm256_storeu_si256((__m256i *)(p), v)
#define OP_BROADCAST _mm256_broadcastsi128_si256
#define OP_CLMUL(a, b) _mm256_clmulepi64_epi128(a, b, 0)
#define OP_SHL_BYTES _mm256_bslli_epi128
#define OP_SHR_BYTES _mm256_bsrli_epi128
#define OP_SLLV _mm256_sllv_epi64
#define OP_SRLV _mm256_srlv_epi64
#define OP_SWAP_HALVES(v) _mm256_shuffle_epi32(v, 0x4E)
#include "aes_xts_wide.h"
#pragma GCC pop_options

#undef W
#undef VEC
#undef NAME
#undef OP_XOR
#undef OP_AND
#undef OP_AESENC
#undef OP_AESENCLAST
#undef OP_AESDEC
#undef OP_AESDECLAST
#undef OP_LOAD
#undef OP_STORE
#undef OP_BROADCAST
#undef OP_CLMUL
#undef OP_SHL_BYTES
#undef OP_SHR_BYTES
#undef OP_SLLV
#undef OP_SRLV
#undef OP_SWAP_HALVES

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,vaes,vpclmulqdq")
#define W 64
#define VEC __m512i
#define NAME(x) x##_512
#define OP_XOR _mm512_xor_si512
#define OP_AND _mm512_and_si512
#define OP_AESENC _mm512_aesenc_epi128
#define OP_AESENCLAST _mm512_aesenclast_epi128
#define OP_AESDEC _mm512_aesdec_epi128
#define OP_AESDECLAST _mm512_aesdeclast_epi128
#define OP_LOAD(p) _mm512_loadu_si512(p)
#define OP_STORE(p, v) _mm512_storeu_si512(p, v)
#define OP_BROADCAST _mm512_broadcast_i32x4
#define OP_CLMUL(a, b) _mm512_clmulepi64_epi128(a, b, 0)
#define OP_SHL_BYTES _mm512_bslli_epi128
#define OP_SHR_BYTES _mm512_bsrli_epi128
#define OP_SLLV _mm512_sllv_epi64
#define OP_SRLV _mm512_srlv_epi64
#define OP_SWAP_HALVES(v) _mm512_shuffle_epi32(v, 0x4E)
#include "aes_xts_wide.h"
#pragma GCC pop_options
