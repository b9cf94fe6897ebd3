/* numeric_simd.h: what the vector instructions compute (core spec 4.3, 4.4.3), as pure functions of
 * v128, whatever its lanes are taken for.
 *
 * Most are written with the compiler's vectors, which become SSE, AVX or NEON as it likes. What
 * those can say only clumsily comes from one of two files of the same names: numeric_simd_x86.h
 * (SSE4.1 and newer) or numeric_simd_portable.h.
 *
 * As in numeric.h, float arithmetic that yields a NaN in a lane yields the canonical one there;
 * abs, neg, pmin and pmax keep bits. Integers are computed without sign, where nothing overflows.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef VM_NUMERIC_SIMD_H
#define VM_NUMERIC_SIMD_H

#include "vm/numeric.h"

#define NUMERIC static inline __attribute__((always_inline))
#define VECTOR(bytes) __attribute__((vector_size(bytes)))

typedef double v128 VECTOR(16); /* what a vector register holds */

typedef int8_t i8x16 VECTOR(16);
typedef uint8_t u8x16 VECTOR(16);
typedef int16_t i16x8 VECTOR(16);
typedef uint16_t u16x8 VECTOR(16);
typedef int32_t i32x4 VECTOR(16);
typedef uint32_t u32x4 VECTOR(16);
typedef int64_t i64x2 VECTOR(16);
typedef uint64_t u64x2 VECTOR(16);
typedef float f32x4 VECTOR(16);
typedef double f64x2 VECTOR(16);

/* Halves. */
typedef int8_t i8x8 VECTOR(8);
typedef uint8_t u8x8 VECTOR(8);
typedef int16_t i16x4 VECTOR(8);
typedef uint16_t u16x4 VECTOR(8);
typedef int32_t i32x2 VECTOR(8);
typedef uint32_t u32x2 VECTOR(8);
typedef float f32x2 VECTOR(8);

/* ---- Making vectors ---- */

NUMERIC v128 i8x16_splat(uint32_t x)
{
    return (v128)((u8x16){0} + (uint8_t)x);
}

NUMERIC v128 i16x8_splat(uint32_t x)
{
    return (v128)((u16x8){0} + (uint16_t)x);
}

NUMERIC v128 i32x4_splat(uint32_t x)
{
    return (v128)((u32x4){0} + x);
}

NUMERIC v128 i64x2_splat(uint64_t x)
{
    return (v128)((u64x2){0} + x);
}

NUMERIC v128 f32x4_splat(float x)
{
    return (v128)(f32x4){x, x, x, x};
}

NUMERIC v128 f64x2_splat(double x)
{
    return (f64x2){x, x};
}

/* ---- Bits ---- */

NUMERIC v128 v128_not(v128 a)
{
    return (v128) ~(u64x2)a;
}

NUMERIC v128 v128_and(v128 a, v128 b)
{
    return (v128)((u64x2)a & (u64x2)b);
}

NUMERIC v128 v128_andnot(v128 a, v128 b)
{
    return (v128)((u64x2)a & ~(u64x2)b);
}

NUMERIC v128 v128_or(v128 a, v128 b)
{
    return (v128)((u64x2)a | (u64x2)b);
}

NUMERIC v128 v128_xor(v128 a, v128 b)
{
    return (v128)((u64x2)a ^ (u64x2)b);
}

/* c ? a : b, bit by bit. */
NUMERIC v128 v128_bitselect(v128 a, v128 b, v128 c)
{
    return (v128)(((u64x2)a & (u64x2)c) | ((u64x2)b & ~(u64x2)c));
}

NUMERIC uint32_t v128_any_true(v128 a)
{
    u64x2 halves = (u64x2)a;
    return (halves[0] | halves[1]) != 0;
}

/* ---- Lanes ---- */

#define LANES(t, lanes, lane_type, scalar, iota)                                                   \
    NUMERIC v128 t##_replace_lane(v128 a, scalar x, uint32_t lane)                                 \
    {                                                                                              \
        v128 mask = (v128)((lanes)iota == (lanes){0} + (lane_type)lane);                           \
        return v128_bitselect(t##_splat(x), a, mask);                                              \
    }

#define IOTA2                                                                                      \
    {                                                                                              \
        0, 1                                                                                       \
    }
#define IOTA4                                                                                      \
    {                                                                                              \
        0, 1, 2, 3                                                                                 \
    }
#define IOTA8                                                                                      \
    {                                                                                              \
        0, 1, 2, 3, 4, 5, 6, 7                                                                     \
    }
#define IOTA16                                                                                     \
    {                                                                                              \
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15                                       \
    }

/* clang-format off */
LANES(i8x16, u8x16, uint8_t, uint32_t, IOTA16)
LANES(i16x8, u16x8, uint16_t, uint32_t, IOTA8)
LANES(i32x4, u32x4, uint32_t, uint32_t, IOTA4)
LANES(i64x2, u64x2, uint64_t, uint64_t, IOTA2)
LANES(f32x4, u32x4, uint32_t, float, IOTA4)
LANES(f64x2, u64x2, uint64_t, double, IOTA2)
/* clang-format on */
#undef LANES
#undef IOTA2
#undef IOTA4
#undef IOTA8
#undef IOTA16

#define EXTRACT_LANE(name, lanes, scalar, through)                                                 \
    NUMERIC scalar name(v128 a, uint32_t lane)                                                     \
    {                                                                                              \
        return (scalar)(through)((lanes)a)[lane];                                                  \
    }
EXTRACT_LANE(i8x16_extract_lane_s, i8x16, uint32_t, int32_t)
EXTRACT_LANE(i8x16_extract_lane_u, u8x16, uint32_t, uint32_t)
EXTRACT_LANE(i16x8_extract_lane_s, i16x8, uint32_t, int32_t)
EXTRACT_LANE(i16x8_extract_lane_u, u16x8, uint32_t, uint32_t)
EXTRACT_LANE(i32x4_extract_lane, u32x4, uint32_t, uint32_t)
EXTRACT_LANE(i64x2_extract_lane, u64x2, uint64_t, uint64_t)
EXTRACT_LANE(f32x4_extract_lane, f32x4, float, float)
EXTRACT_LANE(f64x2_extract_lane, f64x2, double, double)
#undef EXTRACT_LANE

/* ---- Integers that are the same at every width ---- */

#define INTEGER_LANES(t, u, s, bits)                                                               \
    NUMERIC v128 t##_add(v128 a, v128 b)                                                           \
    {                                                                                              \
        return (v128)((u)a + (u)b);                                                                \
    }                                                                                              \
    NUMERIC v128 t##_sub(v128 a, v128 b)                                                           \
    {                                                                                              \
        return (v128)((u)a - (u)b);                                                                \
    }                                                                                              \
    NUMERIC v128 t##_neg(v128 a)                                                                   \
    {                                                                                              \
        return (v128)(-(u)a);                                                                      \
    }                                                                                              \
    NUMERIC v128 t##_abs(v128 a)                                                                   \
    {                                                                                              \
        u sign = (u)((s)a < (s){0});                                                               \
        return (v128)(((u)a ^ sign) - sign);                                                       \
    }                                                                                              \
    NUMERIC uint32_t t##_all_true(v128 a)                                                          \
    {                                                                                              \
        return !v128_any_true((v128)((u)a == (u){0}));                                             \
    }                                                                                              \
    NUMERIC v128 t##_eq(v128 a, v128 b)                                                            \
    {                                                                                              \
        return (v128)((u)a == (u)b);                                                               \
    }                                                                                              \
    NUMERIC v128 t##_ne(v128 a, v128 b)                                                            \
    {                                                                                              \
        return (v128)((u)a != (u)b);                                                               \
    }                                                                                              \
    NUMERIC v128 t##_lt_s(v128 a, v128 b)                                                          \
    {                                                                                              \
        return (v128)((s)a < (s)b);                                                                \
    }                                                                                              \
    NUMERIC v128 t##_gt_s(v128 a, v128 b)                                                          \
    {                                                                                              \
        return (v128)((s)a > (s)b);                                                                \
    }                                                                                              \
    NUMERIC v128 t##_le_s(v128 a, v128 b)                                                          \
    {                                                                                              \
        return (v128)((s)a <= (s)b);                                                               \
    }                                                                                              \
    NUMERIC v128 t##_ge_s(v128 a, v128 b)                                                          \
    {                                                                                              \
        return (v128)((s)a >= (s)b);                                                               \
    }

INTEGER_LANES(i8x16, u8x16, i8x16, 8)
INTEGER_LANES(i16x8, u16x8, i16x8, 16)
INTEGER_LANES(i32x4, u32x4, i32x4, 32)
INTEGER_LANES(i64x2, u64x2, i64x2, 64)
#undef INTEGER_LANES

#define UNSIGNED_COMPARES(t, u)                                                                    \
    NUMERIC v128 t##_lt_u(v128 a, v128 b)                                                          \
    {                                                                                              \
        return (v128)((u)a < (u)b);                                                                \
    }                                                                                              \
    NUMERIC v128 t##_gt_u(v128 a, v128 b)                                                          \
    {                                                                                              \
        return (v128)((u)a > (u)b);                                                                \
    }                                                                                              \
    NUMERIC v128 t##_le_u(v128 a, v128 b)                                                          \
    {                                                                                              \
        return (v128)((u)a <= (u)b);                                                               \
    }                                                                                              \
    NUMERIC v128 t##_ge_u(v128 a, v128 b)                                                          \
    {                                                                                              \
        return (v128)((u)a >= (u)b);                                                               \
    }

UNSIGNED_COMPARES(i8x16, u8x16)
UNSIGNED_COMPARES(i16x8, u16x8)
UNSIGNED_COMPARES(i32x4, u32x4)
#undef UNSIGNED_COMPARES

/* The count is taken modulo the lane's bits. */
#define WIDE_LANES(t, u, s, lane, bits)                                                            \
    NUMERIC v128 t##_mul(v128 a, v128 b)                                                           \
    {                                                                                              \
        return (v128)((u)a * (u)b);                                                                \
    }                                                                                              \
    NUMERIC v128 t##_shl(v128 a, uint32_t count)                                                   \
    {                                                                                              \
        return (v128)((u)a << (u##_lane)(count & (bits - 1)));                                     \
    }                                                                                              \
    NUMERIC v128 t##_shr_u(v128 a, uint32_t count)                                                 \
    {                                                                                              \
        return (v128)((u)a >> (u##_lane)(count & (bits - 1)));                                     \
    }                                                                                              \
    NUMERIC v128 t##_shr_s(v128 a, uint32_t count)                                                 \
    {                                                                                              \
        return (v128)((s)a >> (s##_lane)(count & (bits - 1)));                                     \
    }

typedef uint16_t u16x8_lane;
typedef int16_t i16x8_lane;
typedef uint32_t u32x4_lane;
typedef int32_t i32x4_lane;
typedef uint64_t u64x2_lane;
typedef int64_t i64x2_lane;
WIDE_LANES(i16x8, u16x8, i16x8, uint16_t, 16)
WIDE_LANES(i32x4, u32x4, i32x4, uint32_t, 32)
WIDE_LANES(i64x2, u64x2, i64x2, uint64_t, 64)
#undef WIDE_LANES

/* Bytes are shifted in pairs, and what came over from the neighbour is masked away. */
NUMERIC v128 i8x16_shl(v128 a, uint32_t count)
{
    uint8_t kept = (uint8_t)(0xffu << (count & 7));
    u8x16 moved = (u8x16)i16x8_shl(a, count & 7);
    return (v128)(moved & ((u8x16){0} + kept));
}

NUMERIC v128 i8x16_shr_u(v128 a, uint32_t count)
{
    uint8_t kept = (uint8_t)(0xffu >> (count & 7));
    u8x16 moved = (u8x16)i16x8_shr_u(a, count & 7);
    return (v128)(moved & ((u8x16){0} + kept));
}

/* Where the sign has come to, it is spread upwards by subtracting it. */
NUMERIC v128 i8x16_shr_s(v128 a, uint32_t count)
{
    u8x16 sign = (u8x16){0} + (uint8_t)(0x80u >> (count & 7));
    return (v128)(((u8x16)i8x16_shr_u(a, count) ^ sign) - sign);
}

NUMERIC v128 i8x16_popcnt(v128 a)
{
    u8x16 bits = (u8x16)a;
    bits -= (bits >> 1) & (uint8_t)0x55;
    bits = (bits & (uint8_t)0x33) + ((bits >> 2) & (uint8_t)0x33);
    return (v128)((bits + (bits >> 4)) & (uint8_t)0x0f);
}

/* ---- From narrow lanes to wide ones ---- */

#define LOW2 0, 1
#define LOW4 0, 1, 2, 3
#define LOW8 0, 1, 2, 3, 4, 5, 6, 7
#define HIGH2 2, 3
#define HIGH4 4, 5, 6, 7
#define HIGH8 8, 9, 10, 11, 12, 13, 14, 15

#define HALF(a, from, ...) __builtin_shufflevector((from)a, (from)a, __VA_ARGS__)
#define EXTEND(to, from, sign, from_type, to_type, count)                                          \
    NUMERIC to_type to##_low_of_##from##sign(v128 a)                                               \
    {                                                                                              \
        return __builtin_convertvector(HALF(a, from_type, LOW##count), to_type);                   \
    }                                                                                              \
    NUMERIC to_type to##_high_of_##from##sign(v128 a)                                              \
    {                                                                                              \
        return __builtin_convertvector(HALF(a, from_type, HIGH##count), to_type);                  \
    }                                                                                              \
    NUMERIC v128 to##_extend_low_##from##sign(v128 a)                                              \
    {                                                                                              \
        return (v128)to##_low_of_##from##sign(a);                                                  \
    }                                                                                              \
    NUMERIC v128 to##_extend_high_##from##sign(v128 a)                                             \
    {                                                                                              \
        return (v128)to##_high_of_##from##sign(a);                                                 \
    }                                                                                              \
    NUMERIC v128 to##_extmul_low_##from##sign(v128 a, v128 b)                                      \
    {                                                                                              \
        return to##_mul(to##_extend_low_##from##sign(a), to##_extend_low_##from##sign(b));         \
    }                                                                                              \
    NUMERIC v128 to##_extmul_high_##from##sign(v128 a, v128 b)                                     \
    {                                                                                              \
        return to##_mul(to##_extend_high_##from##sign(a), to##_extend_high_##from##sign(b));       \
    }

EXTEND(i16x8, i8x16, _s, i8x16, i16x8, 8)
EXTEND(i16x8, i8x16, _u, u8x16, u16x8, 8)
EXTEND(i32x4, i16x8, _s, i16x8, i32x4, 4)
EXTEND(i32x4, i16x8, _u, u16x8, u32x4, 4)
EXTEND(i64x2, i32x4, _s, i32x4, i64x2, 2)
EXTEND(i64x2, i32x4, _u, u32x4, u64x2, 2)
#undef EXTEND

/* A wide lane is a pair of narrow ones: its upper half is one, its lower half, moved up and down
 * again, the other. */
#define PAIRWISE(name, type, unsigned_type, bits)                                                  \
    NUMERIC v128 name(v128 a)                                                                      \
    {                                                                                              \
        type even = (type)((unsigned_type)a << bits) >> bits;                                      \
        type odd = (type)a >> bits;                                                                \
        return (v128)((unsigned_type)even + (unsigned_type)odd);                                   \
    }
PAIRWISE(i16x8_extadd_pairwise_i8x16_s, i16x8, u16x8, 8)
PAIRWISE(i16x8_extadd_pairwise_i8x16_u, u16x8, u16x8, 8)
PAIRWISE(i32x4_extadd_pairwise_i16x8_s, i32x4, u32x4, 16)
PAIRWISE(i32x4_extadd_pairwise_i16x8_u, u32x4, u32x4, 16)
#undef PAIRWISE

/* ---- Floats ---- */

NUMERIC v128 f32x4_abs(v128 a)
{
    return (v128)((u32x4)a & 0x7fffffffu);
}

NUMERIC v128 f32x4_neg(v128 a)
{
    return (v128)((u32x4)a ^ 0x80000000u);
}

NUMERIC v128 f64x2_abs(v128 a)
{
    return (v128)((u64x2)a & (uint64_t)0x7fffffffffffffff);
}

NUMERIC v128 f64x2_neg(v128 a)
{
    return (v128)((u64x2)a ^ (uint64_t)0x8000000000000000);
}

NUMERIC uint32_t simd_any_lane(v128 mask); /* of the two files below */

/* WH_WITHOUT_NAN: as in numeric.h. */
#ifdef WH_WITHOUT_NAN
#define HAS_NAN(mask) ((void)(mask), 0)
#else
#define HAS_NAN(mask) simd_any_lane((v128)(mask))
#endif

/* As f32_canonical: a jump that is hardly ever taken, not a blend that every result waits for. */
#define FLOAT_LANES(t, type, u, canonical_nan)                                                     \
    NUMERIC v128 t##_canonical(type a)                                                             \
    {                                                                                              \
        u nan = (u)(a != a);                                                                       \
        if (__builtin_expect(HAS_NAN(nan), 0)) {                                                   \
            __asm__ volatile("");                                                                  \
            a = (type)(((u)a & ~nan) | (nan & canonical_nan));                                     \
        }                                                                                          \
        return (v128)a;                                                                            \
    }                                                                                              \
    NUMERIC v128 t##_add(v128 a, v128 b)                                                           \
    {                                                                                              \
        return t##_canonical((type)a + (type)b);                                                   \
    }                                                                                              \
    NUMERIC v128 t##_sub(v128 a, v128 b)                                                           \
    {                                                                                              \
        return t##_canonical((type)a - (type)b);                                                   \
    }                                                                                              \
    NUMERIC v128 t##_mul(v128 a, v128 b)                                                           \
    {                                                                                              \
        return t##_canonical((type)a * (type)b);                                                   \
    }                                                                                              \
    NUMERIC v128 t##_div(v128 a, v128 b)                                                           \
    {                                                                                              \
        return t##_canonical((type)a / (type)b);                                                   \
    }                                                                                              \
    NUMERIC v128 t##_eq(v128 a, v128 b)                                                            \
    {                                                                                              \
        return (v128)((type)a == (type)b);                                                         \
    }                                                                                              \
    NUMERIC v128 t##_ne(v128 a, v128 b)                                                            \
    {                                                                                              \
        return (v128)((type)a != (type)b);                                                         \
    }                                                                                              \
    NUMERIC v128 t##_lt(v128 a, v128 b)                                                            \
    {                                                                                              \
        return (v128)((type)a < (type)b);                                                          \
    }                                                                                              \
    NUMERIC v128 t##_gt(v128 a, v128 b)                                                            \
    {                                                                                              \
        return (v128)((type)a > (type)b);                                                          \
    }                                                                                              \
    NUMERIC v128 t##_le(v128 a, v128 b)                                                            \
    {                                                                                              \
        return (v128)((type)a <= (type)b);                                                         \
    }                                                                                              \
    NUMERIC v128 t##_ge(v128 a, v128 b)                                                            \
    {                                                                                              \
        return (v128)((type)a >= (type)b);                                                         \
    }

FLOAT_LANES(f32x4, f32x4, u32x4, F32_CANONICAL_NAN)
FLOAT_LANES(f64x2, f64x2, u64x2, F64_CANONICAL_NAN)
#undef FLOAT_LANES

NUMERIC v128 f32x4_convert_i32x4_s(v128 a)
{
    return (v128) __builtin_convertvector((i32x4)a, f32x4);
}

NUMERIC v128 f32x4_convert_i32x4_u(v128 a)
{
    return (v128) __builtin_convertvector((u32x4)a, f32x4);
}

NUMERIC v128 f64x2_convert_low_i32x4_s(v128 a)
{
    return __builtin_convertvector(HALF(a, i32x4, LOW2), f64x2);
}

NUMERIC v128 f64x2_convert_low_i32x4_u(v128 a)
{
    return __builtin_convertvector(HALF(a, u32x4, LOW2), f64x2);
}

NUMERIC v128 f64x2_promote_low_f32x4(v128 a)
{
    return f64x2_canonical(__builtin_convertvector(HALF(a, f32x4, LOW2), f64x2));
}

NUMERIC v128 f32x4_demote_f64x2_zero(v128 a)
{
    f32x2 low = __builtin_convertvector(a, f32x2);
    return f32x4_canonical(__builtin_shufflevector(low, (f32x2){0}, LOW4));
}

/* ---- What loads and stores do to the bits ---- */

NUMERIC v128 load_v128(const uint8_t *address)
{
    v128 value;
    memcpy(&value, address, sizeof value);
    return value;
}

NUMERIC void store_v128(uint8_t *address, v128 value)
{
    memcpy(address, &value, sizeof value);
}

#define LOAD_EXTENDED(name, half, to)                                                              \
    NUMERIC v128 name(const uint8_t *address)                                                      \
    {                                                                                              \
        half narrow;                                                                               \
        memcpy(&narrow, address, sizeof narrow);                                                   \
        return (v128) __builtin_convertvector(narrow, to);                                         \
    }
LOAD_EXTENDED(load_v128_8x8_s, i8x8, i16x8)
LOAD_EXTENDED(load_v128_8x8_u, u8x8, u16x8)
LOAD_EXTENDED(load_v128_16x4_s, i16x4, i32x4)
LOAD_EXTENDED(load_v128_16x4_u, u16x4, u32x4)
LOAD_EXTENDED(load_v128_32x2_s, i32x2, i64x2)
LOAD_EXTENDED(load_v128_32x2_u, u32x2, u64x2)
#undef LOAD_EXTENDED

NUMERIC v128 load_v128_8_splat(const uint8_t *address)
{
    return i8x16_splat(load_i32_8_u(address));
}

NUMERIC v128 load_v128_16_splat(const uint8_t *address)
{
    return i16x8_splat(load_i32_16_u(address));
}

NUMERIC v128 load_v128_32_splat(const uint8_t *address)
{
    return i32x4_splat(load_i32(address));
}

NUMERIC v128 load_v128_64_splat(const uint8_t *address)
{
    return i64x2_splat(load_i64(address));
}

NUMERIC v128 load_v128_32_zero(const uint8_t *address)
{
    return (v128)(u32x4){load_i32(address), 0, 0, 0};
}

NUMERIC v128 load_v128_64_zero(const uint8_t *address)
{
    return (v128)(u64x2){load_i64(address), 0};
}

#define LANE_ACCESS(bits, t, load, store, extract)                                                 \
    NUMERIC v128 load_v128_##bits##_lane(const uint8_t *address, v128 a, uint32_t lane)            \
    {                                                                                              \
        return t##_replace_lane(a, load(address), lane);                                           \
    }                                                                                              \
    NUMERIC void store_v128_##bits##_lane(uint8_t *address, v128 a, uint32_t lane)                 \
    {                                                                                              \
        store(address, extract(a, lane));                                                          \
    }
LANE_ACCESS(8, i8x16, load_i32_8_u, store_i32_8, i8x16_extract_lane_u)
LANE_ACCESS(16, i16x8, load_i32_16_u, store_i32_16, i16x8_extract_lane_u)
LANE_ACCESS(32, i32x4, load_i32, store_i32, i32x4_extract_lane)
LANE_ACCESS(64, i64x2, load_i64, store_i64, i64x2_extract_lane)
#undef LANE_ACCESS

#ifdef __SSE4_1__
#include "vm/numeric_simd_x86.h"
#else
#include "vm/numeric_simd_portable.h"
#endif

#undef HAS_NAN
#undef LOW2
#undef LOW4
#undef LOW8
#undef HIGH2
#undef HIGH4
#undef HIGH8
#undef HALF
#undef VECTOR
#undef NUMERIC

#endif
