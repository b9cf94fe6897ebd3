/* numeric_simd_x86.h: the vector operations that x86-64 has instructions for and compilers' vectors
 * have no words; the rest of numeric_simd.h, which alone includes this.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef VM_NUMERIC_SIMD_X86_H
#define VM_NUMERIC_SIMD_X86_H

#include <immintrin.h>

NUMERIC uint32_t simd_any_lane(v128 mask)
{
    return _mm_movemask_epi8((__m128i)mask) != 0;
}

#define TWO_INTEGERS(name, intrinsic)                                                              \
    NUMERIC v128 name(v128 a, v128 b)                                                              \
    {                                                                                              \
        return (v128)intrinsic((__m128i)a, (__m128i)b);                                            \
    }

TWO_INTEGERS(i8x16_add_sat_s, _mm_adds_epi8)
TWO_INTEGERS(i8x16_add_sat_u, _mm_adds_epu8)
TWO_INTEGERS(i8x16_sub_sat_s, _mm_subs_epi8)
TWO_INTEGERS(i8x16_sub_sat_u, _mm_subs_epu8)
TWO_INTEGERS(i8x16_min_s, _mm_min_epi8)
TWO_INTEGERS(i8x16_min_u, _mm_min_epu8)
TWO_INTEGERS(i8x16_max_s, _mm_max_epi8)
TWO_INTEGERS(i8x16_max_u, _mm_max_epu8)
TWO_INTEGERS(i8x16_avgr_u, _mm_avg_epu8)
TWO_INTEGERS(i8x16_narrow_i16x8_s, _mm_packs_epi16)
TWO_INTEGERS(i8x16_narrow_i16x8_u, _mm_packus_epi16)
TWO_INTEGERS(i16x8_add_sat_s, _mm_adds_epi16)
TWO_INTEGERS(i16x8_add_sat_u, _mm_adds_epu16)
TWO_INTEGERS(i16x8_sub_sat_s, _mm_subs_epi16)
TWO_INTEGERS(i16x8_sub_sat_u, _mm_subs_epu16)
TWO_INTEGERS(i16x8_min_s, _mm_min_epi16)
TWO_INTEGERS(i16x8_min_u, _mm_min_epu16)
TWO_INTEGERS(i16x8_max_s, _mm_max_epi16)
TWO_INTEGERS(i16x8_max_u, _mm_max_epu16)
TWO_INTEGERS(i16x8_avgr_u, _mm_avg_epu16)
TWO_INTEGERS(i16x8_narrow_i32x4_s, _mm_packs_epi32)
TWO_INTEGERS(i16x8_narrow_i32x4_u, _mm_packus_epi32)
TWO_INTEGERS(i32x4_min_s, _mm_min_epi32)
TWO_INTEGERS(i32x4_min_u, _mm_min_epu32)
TWO_INTEGERS(i32x4_max_s, _mm_max_epi32)
TWO_INTEGERS(i32x4_max_u, _mm_max_epu32)
TWO_INTEGERS(i32x4_dot_i16x8_s, _mm_madd_epi16)
#undef TWO_INTEGERS

/* The instruction rounds the one sum that overflows, -1 * -1, to -1. */
NUMERIC v128 i16x8_q15mulr_sat_s(v128 a, v128 b)
{
    __m128i product = _mm_mulhrs_epi16((__m128i)a, (__m128i)b);
    __m128i wrong = _mm_cmpeq_epi16(product, _mm_set1_epi16(INT16_MIN));
    return (v128)_mm_xor_si128(product, wrong);
}

/* pshufb gives 0 where the index has its top bit: adding 0x70 with saturation sets it from 16 on.
 */
NUMERIC v128 i8x16_swizzle(v128 a, v128 b)
{
    __m128i index = _mm_adds_epu8((__m128i)b, _mm_set1_epi8(0x70));
    return (v128)_mm_shuffle_epi8((__m128i)a, index);
}

NUMERIC v128 i8x16_shuffle(v128 a, v128 b, v128 lanes)
{
    v128 of_b = (v128)_mm_sub_epi8((__m128i)lanes, _mm_set1_epi8(16));
    v128 right = (v128)_mm_shuffle_epi8((__m128i)b, (__m128i)of_b);
    return v128_or(i8x16_swizzle(a, lanes), right);
}

NUMERIC uint32_t i8x16_bitmask(v128 a)
{
    return (uint32_t)_mm_movemask_epi8((__m128i)a);
}

NUMERIC uint32_t i16x8_bitmask(v128 a)
{
    return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16((__m128i)a, _mm_setzero_si128()));
}

NUMERIC uint32_t i32x4_bitmask(v128 a)
{
    return (uint32_t)_mm_movemask_ps((__m128)a);
}

NUMERIC uint32_t i64x2_bitmask(v128 a)
{
    return (uint32_t)_mm_movemask_pd(a);
}

/* ---- Floats. min and max of the processor give their second operand if the operands are equal or
 * one is a NaN. ---- */

#define X86_FLOAT(t, type, s)                                                                      \
    NUMERIC v128 t##_pmin(v128 a, v128 b)                                                          \
    {                                                                                              \
        return (v128)_mm_min_p##s((type)b, (type)a);                                               \
    }                                                                                              \
    NUMERIC v128 t##_pmax(v128 a, v128 b)                                                          \
    {                                                                                              \
        return (v128)_mm_max_p##s((type)b, (type)a);                                               \
    }                                                                                              \
    /* Both ways round; the bits of both together are -0 for 0 and -0, and a NaN if one is. */     \
    NUMERIC v128 t##_min(v128 a, v128 b)                                                           \
    {                                                                                              \
        type one = _mm_min_p##s((type)a, (type)b);                                                 \
        type other = _mm_min_p##s((type)b, (type)a);                                               \
        return t##_canonical((t)_mm_or_p##s(one, other));                                          \
    }                                                                                              \
    /* What differs is added and taken away again: for 0 and -0 that is the sign, and a NaN stays  \
     * one. */                                                                                     \
    NUMERIC v128 t##_max(v128 a, v128 b)                                                           \
    {                                                                                              \
        type one = _mm_max_p##s((type)a, (type)b);                                                 \
        type other = _mm_max_p##s((type)b, (type)a);                                               \
        type difference = _mm_xor_p##s(one, other);                                                \
        type both = _mm_or_p##s(one, difference);                                                  \
        return t##_canonical((t)_mm_sub_p##s(both, difference));                                   \
    }                                                                                              \
    NUMERIC v128 t##_sqrt(v128 a)                                                                  \
    {                                                                                              \
        return t##_canonical((t)_mm_sqrt_p##s((type)a));                                           \
    }                                                                                              \
    NUMERIC v128 t##_ceil(v128 a)                                                                  \
    {                                                                                              \
        return t##_canonical(                                                                      \
            (t)_mm_round_p##s((type)a, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC));                \
    }                                                                                              \
    NUMERIC v128 t##_floor(v128 a)                                                                 \
    {                                                                                              \
        return t##_canonical(                                                                      \
            (t)_mm_round_p##s((type)a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC));                \
    }                                                                                              \
    NUMERIC v128 t##_trunc(v128 a)                                                                 \
    {                                                                                              \
        return t##_canonical((t)_mm_round_p##s((type)a, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC));  \
    }                                                                                              \
    NUMERIC v128 t##_nearest(v128 a)                                                               \
    {                                                                                              \
        return t##_canonical(                                                                      \
            (t)_mm_round_p##s((type)a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));            \
    }

X86_FLOAT(f32x4, __m128, s)
X86_FLOAT(f64x2, __m128d, d)
#undef X86_FLOAT

/* ---- Saturating conversions. The processor's give 0x80000000 for whatever is out of range. ----
 */

/* NaNs become 0 first; what is too large is wrong in every bit. */
NUMERIC v128 i32x4_trunc_sat_f32x4_s(v128 a)
{
    __m128 number = _mm_and_ps((__m128)a, _mm_cmpord_ps((__m128)a, (__m128)a));
    __m128i large = (__m128i)_mm_cmpge_ps(number, _mm_set1_ps(2147483648.0f));
    return (v128)_mm_xor_si128(_mm_cvttps_epi32(number), large);
}

/* In two parts: up to 2^31, and what is above. */
NUMERIC v128 i32x4_trunc_sat_f32x4_u(v128 a)
{
    const __m128 half = _mm_set1_ps(2147483648.0f);
    __m128 number = _mm_max_ps((__m128)a, _mm_setzero_ps()); /* 0 for a NaN */
    __m128 above = _mm_sub_ps(number, half);
    __m128i is_above = (__m128i)_mm_cmpge_ps(number, half);
    __m128i too_large = (__m128i)_mm_cmpge_ps(above, half);
    __m128i upper = _mm_xor_si128(_mm_cvttps_epi32(above), too_large);
    return (v128)_mm_add_epi32(_mm_cvttps_epi32(number), _mm_and_si128(upper, is_above));
}

NUMERIC v128 i32x4_trunc_sat_f64x2_s_zero(v128 a)
{
    __m128d number = _mm_and_pd(a, _mm_cmpord_pd(a, a));
    return (v128)_mm_cvttpd_epi32(_mm_min_pd(number, _mm_set1_pd(2147483647.0)));
}

/* Adding 2^52 leaves the integer in the low half of each lane. */
NUMERIC v128 i32x4_trunc_sat_f64x2_u_zero(v128 a)
{
    __m128d number = _mm_max_pd(a, _mm_setzero_pd()); /* 0 for a NaN */
    number = _mm_min_pd(number, _mm_set1_pd(4294967295.0));
    number = _mm_round_pd(number, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    __m128d moved = _mm_add_pd(number, _mm_set1_pd(4503599627370496.0));
    return (v128)_mm_shuffle_ps((__m128)moved, _mm_setzero_ps(), _MM_SHUFFLE(2, 0, 2, 0));
}

#endif
