/*
 * AES-XTS (IEEE 1619-2007) over whole sectors with wide vectors, included once per width by aes_xts.c, which defines:
 *   W               bytes of a vector (32 or 64)
 *   VEC             its type
 *   NAME(x)         x with the width in it
 *   and the intrinsics OP_XOR, OP_AESENC, OP_AESENCLAST, OP_AESDEC, OP_AESDECLAST, OP_LOAD, OP_STORE, OP_BROADCAST,
 *   OP_CLMUL, OP_SHL_BYTES, OP_SHR_BYTES, OP_SLLV, OP_SRLV, OP_SWAP_HALVES, OP_AND
 *
 * Eight vectors are in flight, so that the latency of one AES round hides behind the other seven. Each 128-bit lane of a
 * tweak vector holds the tweak of its own block; stepping eight vectors ahead multiplies by x^(W/2) in GF(2^128), a byte
 * shift and one carry-less multiplication of what fell out by 0x87.
 */
#define LANES (W / 16)
#define FLIGHT 8
#define STEP_BLOCKS (FLIGHT * LANES)

/* t * x^shift per lane, shift < 64, each lane with a shift of its own. */
static inline __attribute__((always_inline)) VEC NAME(shift_lanes)(VEC t, VEC left, VEC right, VEC high_half, VEC polynomial)
{
    VEC carried = OP_SWAP_HALVES(OP_SRLV(t, right));
    return OP_XOR(OP_SLLV(t, left), OP_XOR(OP_AND(carried, high_half), OP_CLMUL(carried, polynomial)));
}

#define TIMES_X_BYTES(t, bytes) OP_XOR(OP_SHL_BYTES(t, bytes), OP_CLMUL(OP_SHR_BYTES(t, 16 - (bytes)), polynomial))

static inline __attribute__((always_inline)) void NAME(flight)(
    VEC state[FLIGHT], const VEC *keys, int rounds, int encrypt)
{
    for (int i = 0; i < FLIGHT; i++) state[i] = OP_XOR(state[i], keys[0]);
    for (int round = 1; round < rounds; round++) {
        VEC key = keys[round];
        for (int i = 0; i < FLIGHT; i++) state[i] = encrypt ? OP_AESENC(state[i], key) : OP_AESDEC(state[i], key);
    }
    for (int i = 0; i < FLIGHT; i++)
        state[i] = encrypt ? OP_AESENCLAST(state[i], keys[rounds]) : OP_AESDECLAST(state[i], keys[rounds]);
}

/* One sector, a multiple of STEP_BLOCKS blocks long. */
static inline __attribute__((always_inline)) void NAME(sector)(
    const VEC *keys, int rounds, __m128i first_tweak, const uint8_t *source, uint8_t *target, size_t byte_count, int encrypt)
{
    static const uint64_t lane_shift[8] = {0, 0, 1, 1, 2, 2, 3, 3};
    static const uint64_t lane_back[8] = {64, 64, 63, 63, 62, 62, 61, 61};
    static const uint64_t high_half_words[8] = {0, ~0ull, 0, ~0ull, 0, ~0ull, 0, ~0ull};
    static const uint64_t polynomial_words[8] = {0x87, 0, 0x87, 0, 0x87, 0, 0x87, 0};
    const VEC high_half = OP_LOAD(high_half_words), polynomial = OP_LOAD(polynomial_words);
    VEC tweak[FLIGHT], state[FLIGHT];

    tweak[0] = NAME(shift_lanes)(OP_BROADCAST(first_tweak), OP_LOAD(lane_shift), OP_LOAD(lane_back), high_half, polynomial);
#if LANES == 4
    static const uint64_t four[8] = {4, 4, 4, 4, 4, 4, 4, 4}, sixty[8] = {60, 60, 60, 60, 60, 60, 60, 60};
    tweak[1] = NAME(shift_lanes)(tweak[0], OP_LOAD(four), OP_LOAD(sixty), high_half, polynomial);
    for (int i = 2; i < FLIGHT; i++) tweak[i] = TIMES_X_BYTES(tweak[i - 2], 1);
#else
    static const uint64_t two[8] = {2, 2, 2, 2}, back_two[8] = {62, 62, 62, 62};
    for (int i = 1; i < 4; i++)
        tweak[i] = NAME(shift_lanes)(tweak[i - 1], OP_LOAD(two), OP_LOAD(back_two), high_half, polynomial);
    for (int i = 4; i < FLIGHT; i++) tweak[i] = TIMES_X_BYTES(tweak[i - 4], 1);
#endif
    for (size_t at = 0; at < byte_count; at += FLIGHT * W) {
        for (int i = 0; i < FLIGHT; i++) state[i] = OP_XOR(OP_LOAD(source + at + i * W), tweak[i]);
        NAME(flight)(state, keys, rounds, encrypt);
        for (int i = 0; i < FLIGHT; i++) {
            OP_STORE(target + at + i * W, OP_XOR(state[i], tweak[i]));
            tweak[i] = TIMES_X_BYTES(tweak[i], STEP_BLOCKS / 8);
        }
    }
}

static inline __attribute__((always_inline)) void NAME(sectors)(
    const uint8_t *data_keys, const uint8_t *tweak_keys, int rounds, uint64_t first_sector, uint64_t tweak_step,
    size_t sector_bytes, const uint8_t *source, uint8_t *target, size_t byte_count, int encrypt)
{
    VEC keys[15], narrow[15];
    for (int i = 0; i <= rounds; i++) {
        keys[i] = OP_BROADCAST(_mm_loadu_si128((const __m128i *)data_keys + i));
        narrow[i] = OP_BROADCAST(_mm_loadu_si128((const __m128i *)tweak_keys + i));
    }
    uint64_t sector = first_sector;
    for (size_t at = 0; at < byte_count;) {
        /* The tweaks of a whole flight of sectors are encrypted at once. */
        uint64_t numbers[STEP_BLOCKS * 2];
        for (int i = 0; i < STEP_BLOCKS; i++, sector += tweak_step) { numbers[2 * i] = sector; numbers[2 * i + 1] = 0; }
        VEC tweaks[FLIGHT];
        for (int i = 0; i < FLIGHT; i++) tweaks[i] = OP_LOAD(numbers + 2 * i * LANES);
        NAME(flight)(tweaks, narrow, rounds, 1);
        for (int i = 0; i < FLIGHT; i++) OP_STORE(numbers + 2 * i * LANES, tweaks[i]);
        for (int i = 0; i < STEP_BLOCKS && at < byte_count; i++, at += sector_bytes)
            NAME(sector)(keys, rounds, _mm_loadu_si128((const __m128i *)numbers + i), source + at, target + at, sector_bytes, encrypt);
    }
    /* Round keys and tweaks spill to the stack, which is not secret memory: leave nothing there. */
    wipe(keys, sizeof keys);
    wipe(narrow, sizeof narrow);
}

void NAME(vdiskcrypt_xts_encrypt)(
    const uint8_t *data_keys, const uint8_t *tweak_keys, int rounds, uint64_t first_sector, uint64_t tweak_step,
    size_t sector_bytes, const uint8_t *source, uint8_t *target, size_t byte_count)
{
    if (rounds == 14)
        NAME(sectors)(data_keys, tweak_keys, 14, first_sector, tweak_step, sector_bytes, source, target, byte_count, 1);
    else
        NAME(sectors)(data_keys, tweak_keys, 10, first_sector, tweak_step, sector_bytes, source, target, byte_count, 1);
}

void NAME(vdiskcrypt_xts_decrypt)(
    const uint8_t *data_keys, const uint8_t *tweak_keys, int rounds, uint64_t first_sector, uint64_t tweak_step,
    size_t sector_bytes, const uint8_t *source, uint8_t *target, size_t byte_count)
{
    if (rounds == 14)
        NAME(sectors)(data_keys, tweak_keys, 14, first_sector, tweak_step, sector_bytes, source, target, byte_count, 0);
    else
        NAME(sectors)(data_keys, tweak_keys, 10, first_sector, tweak_step, sector_bytes, source, target, byte_count, 0);
}

#undef LANES
#undef FLIGHT
#undef STEP_BLOCKS
#undef TIMES_X_BYTES
