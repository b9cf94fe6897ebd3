/* numeric_simd_portable.h: the same operations as in numeric_simd_x86.h for any processor: masks
 * where the compiler's vectors suffice, a loop over the lanes where not. Only numeric_simd.h
 * includes this.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef VM_NUMERIC_SIMD_PORTABLE_H
#define VM_NUMERIC_SIMD_PORTABLE_H

NUMERIC uint32_t simd_any_lane(v128 mask)
{
    return v128_any_true(mask);
}

/* mask ? a : b */
#define CHOOSE(mask, a, b) v128_bitselect((v128)(a), (v128)(b), (v128)(mask))

#define MIN_MAX(t, u, s)                                                                           \
    NUMERIC v128 t##_min_s(v128 a, v128 b)                                                         \
    {                                                                                              \
        return CHOOSE((s)a < (s)b, a, b);                                                          \
    }                                                                                              \
    NUMERIC v128 t##_min_u(v128 a, v128 b)                                                         \
    {                                                                                              \
        return CHOOSE((u)a < (u)b, a, b);                                                          \
    }                                                                                              \
    NUMERIC v128 t##_max_s(v128 a, v128 b)                                                         \
    {                                                                                              \
        return CHOOSE((s)a > (s)b, a, b);                                                          \
    }                                                                                              \
    NUMERIC v128 t##_max_u(v128 a, v128 b)                                                         \
    {                                                                                              \
        return CHOOSE((u)a > (u)b, a, b);                                                          \
    }

MIN_MAX(i8x16, u8x16, i8x16)
MIN_MAX(i16x8, u16x8, i16x8)
MIN_MAX(i32x4, u32x4, i32x4)
#undef MIN_MAX

/* A signed result is wrong if both operands (of a subtraction: one of them negated) have the same
 * sign and it has the other; then it is the largest number of the first one's sign. */
#define SATURATING(t, u, s, lane, top)                                                             \
    NUMERIC v128 t##_add_sat_u(v128 a, v128 b)                                                     \
    {                                                                                              \
        u sum = (u)a + (u)b;                                                                       \
        return (v128)(sum | (u)(sum < (u)a));                                                      \
    }                                                                                              \
    NUMERIC v128 t##_sub_sat_u(v128 a, v128 b)                                                     \
    {                                                                                              \
        return (v128)(((u)a - (u)b) & (u)((u)a > (u)b));                                           \
    }                                                                                              \
    NUMERIC v128 t##_add_sat_s(v128 a, v128 b)                                                     \
    {                                                                                              \
        u sum = (u)a + (u)b;                                                                       \
        s wrong = (s)(~((u)a ^ (u)b) & ((u)a ^ sum)) < (s){0};                                     \
        u largest = (u)((s)a < (s){0}) ^ (lane)top;                                                \
        return CHOOSE(wrong, largest, sum);                                                        \
    }                                                                                              \
    NUMERIC v128 t##_sub_sat_s(v128 a, v128 b)                                                     \
    {                                                                                              \
        u difference = (u)a - (u)b;                                                                \
        s wrong = (s)(((u)a ^ (u)b) & ((u)a ^ difference)) < (s){0};                               \
        u largest = (u)((s)a < (s){0}) ^ (lane)top;                                                \
        return CHOOSE(wrong, largest, difference);                                                 \
    }                                                                                              \
    NUMERIC v128 t##_avgr_u(v128 a, v128 b)                                                        \
    {                                                                                              \
        return (v128)(((u)a | (u)b) - (((u)a ^ (u)b) >> 1));                                       \
    }

SATURATING(i8x16, u8x16, i8x16, uint8_t, INT8_MAX)
SATURATING(i16x8, u16x8, i16x8, uint16_t, INT16_MAX)
#undef SATURATING

/* ---- Narrowing: cut to the range, then to the width ---- */

#define NARROW(name, wide, half, whole, lane, low, high, count)                                    \
    NUMERIC half name##_half(v128 a)                                                               \
    {                                                                                              \
        wide lowest = (wide){0} + (lane)low;                                                       \
        wide highest = (wide){0} + (lane)high;                                                     \
        v128 cut = CHOOSE((wide)a < lowest, lowest, a);                                            \
        cut = CHOOSE((wide)cut > highest, highest, cut);                                           \
        return __builtin_convertvector((wide)cut, half);                                           \
    }                                                                                              \
    NUMERIC v128 name(v128 a, v128 b)                                                              \
    {                                                                                              \
        return (v128)__builtin_shufflevector(name##_half(a), name##_half(b), LOW##count,           \
                                             HIGH##count);                                         \
    }

NARROW(i8x16_narrow_i16x8_s, i16x8, i8x8, i8x16, int16_t, INT8_MIN, INT8_MAX, 8)
NARROW(i8x16_narrow_i16x8_u, i16x8, u8x8, u8x16, int16_t, 0, UINT8_MAX, 8)
NARROW(i16x8_narrow_i32x4_s, i32x4, i16x4, i16x8, int32_t, INT16_MIN, INT16_MAX, 4)
NARROW(i16x8_narrow_i32x4_u, i32x4, u16x4, u16x8, int32_t, 0, UINT16_MAX, 4)
#undef NARROW

/* ---- Products ---- */

NUMERIC v128 i32x4_dot_i16x8_s(v128 a, v128 b)
{
    u32x4 low = (u32x4)i32x4_extmul_low_i16x8_s(a, b);
    u32x4 high = (u32x4)i32x4_extmul_high_i16x8_s(a, b);
    return (v128)(__builtin_shufflevector(low, high, 0, 2, 4, 6) +
                  __builtin_shufflevector(low, high, 1, 3, 5, 7));
}

NUMERIC v128 i16x8_q15mulr_sat_s(v128 a, v128 b)
{
    i32x4 low = ((i32x4)i32x4_extmul_low_i16x8_s(a, b) + 0x4000) >> 15;
    i32x4 high = ((i32x4)i32x4_extmul_high_i16x8_s(a, b) + 0x4000) >> 15;
    return i16x8_narrow_i32x4_s((v128)low, (v128)high);
}

/* ---- Lanes ---- */

NUMERIC v128 i8x16_swizzle(v128 a, v128 b)
{
    u8x16 out = {0};
    for (int i = 0; i < 16; i++) {
        uint8_t index = ((u8x16)b)[i];
        out[i] = index < 16 ? ((u8x16)a)[index & 15] : 0;
    }
    return (v128)out;
}

NUMERIC v128 i8x16_shuffle(v128 a, v128 b, v128 lanes)
{
    return v128_or(i8x16_swizzle(a, lanes), i8x16_swizzle(b, (v128)((u8x16)lanes - (uint8_t)16)));
}

#define BITMASK(t, s, count)                                                                       \
    NUMERIC uint32_t t##_bitmask(v128 a)                                                           \
    {                                                                                              \
        uint32_t bits = 0;                                                                         \
        for (uint32_t i = 0; i < count; i++) {                                                     \
            bits |= (uint32_t)(((s)a)[i] < 0) << i;                                                \
        }                                                                                          \
        return bits;                                                                               \
    }
BITMASK(i8x16, i8x16, 16)
BITMASK(i16x8, i16x8, 8)
BITMASK(i32x4, i32x4, 4)
BITMASK(i64x2, i64x2, 2)
#undef BITMASK

/* ---- Floats ---- */

#define EACH_LANE(name, type, count, body)                                                         \
    NUMERIC v128 name(v128 a)                                                                      \
    {                                                                                              \
        type lanes = (type)a;                                                                      \
        for (int i = 0; i < count; i++) {                                                          \
            lanes[i] = body(lanes[i]);                                                             \
        }                                                                                          \
        return (v128)lanes;                                                                        \
    }
#define PORTABLE_FLOAT(t, type, u, f, count)                                                       \
    NUMERIC v128 t##_pmin(v128 a, v128 b)                                                          \
    {                                                                                              \
        return CHOOSE((type)b < (type)a, b, a);                                                    \
    }                                                                                              \
    NUMERIC v128 t##_pmax(v128 a, v128 b)                                                          \
    {                                                                                              \
        return CHOOSE((type)a < (type)b, b, a);                                                    \
    }                                                                                              \
    /* A NaN is equal to nothing; equal ones may be 0 and -0. */                                   \
    NUMERIC v128 t##_min(v128 a, v128 b)                                                           \
    {                                                                                              \
        v128 least = CHOOSE((type)a < (type)b, a, b);                                              \
        least = CHOOSE((type)a == (type)b, v128_or(a, b), least);                                  \
        return t##_canonical((type)CHOOSE((type)a != (type)a, a, least));                          \
    }                                                                                              \
    NUMERIC v128 t##_max(v128 a, v128 b)                                                           \
    {                                                                                              \
        v128 most = CHOOSE((type)a > (type)b, a, b);                                               \
        most = CHOOSE((type)a == (type)b, v128_and(a, b), most);                                   \
        return t##_canonical((type)CHOOSE((type)a != (type)a, a, most));                           \
    }                                                                                              \
    EACH_LANE(t##_sqrt, type, count, f##_sqrt)                                                     \
    EACH_LANE(t##_ceil, type, count, f##_ceil)                                                     \
    EACH_LANE(t##_floor, type, count, f##_floor)                                                   \
    EACH_LANE(t##_trunc, type, count, f##_trunc)                                                   \
    EACH_LANE(t##_nearest, type, count, f##_nearest)

PORTABLE_FLOAT(f32x4, f32x4, u32x4, f32, 4)
PORTABLE_FLOAT(f64x2, f64x2, u64x2, f64, 2)
#undef PORTABLE_FLOAT
#undef EACH_LANE
#undef CHOOSE

#define TRUNC_SAT(name, type, count, body)                                                         \
    NUMERIC v128 name(v128 a)                                                                      \
    {                                                                                              \
        u32x4 out = {0};                                                                           \
        for (int i = 0; i < count; i++) {                                                          \
            out[i] = body(((type)a)[i]);                                                           \
        }                                                                                          \
        return (v128)out;                                                                          \
    }
TRUNC_SAT(i32x4_trunc_sat_f32x4_s, f32x4, 4, i32_trunc_f32_s_saturating)
TRUNC_SAT(i32x4_trunc_sat_f32x4_u, f32x4, 4, i32_trunc_f32_u_saturating)
TRUNC_SAT(i32x4_trunc_sat_f64x2_s_zero, f64x2, 2, i32_trunc_f64_s_saturating)
TRUNC_SAT(i32x4_trunc_sat_f64x2_u_zero, f64x2, 2, i32_trunc_f64_u_saturating)
#undef TRUNC_SAT

#endif
