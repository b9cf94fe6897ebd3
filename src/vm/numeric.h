/* numeric.h: what the numeric instructions compute (core spec 4.3), as pure functions.
 *
 * i32 is uint32_t, i64 uint64_t, f32 float, f64 double. An operation that can trap comes as a pair:
 * NAME_trap tells whether it would, NAME computes and may be called only if it would not.
 *
 * The result of float arithmetic that is a NaN is always the canonical one (sign 0, only the top
 * bit of the payload), so that a program computes the same bits on every machine; the spec allows
 * it. abs, neg, copysign and the reinterpretations keep the bits of their operand, as it demands.
 * Compiled with -ffp-contract=off and IEEE arithmetic: no fused multiply-add, no extended
 * precision.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef VM_NUMERIC_H
#define VM_NUMERIC_H

#include "vm/vm.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* Memory is little-endian, and an i32 or f32 lies in the low half of its slot. */
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "the engine needs a little-endian machine");

#define NUMERIC static inline __attribute__((always_inline))

/* ---- Bits ---- */

NUMERIC uint32_t f32_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

NUMERIC float f32_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

NUMERIC uint64_t f64_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

NUMERIC double f64_of_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#define F32_CANONICAL_NAN 0x7fc00000u
#define F64_CANONICAL_NAN 0x7ff8000000000000u

/* WH_WITHOUT_NAN: in builds that measure what this costs. */
#ifdef WH_WITHOUT_NAN
#define f32_canonical(value) (value)
#define f64_canonical(value) (value)
#else
/* The empty asm keeps this a jump that is never taken instead of a blend on the critical path. */
NUMERIC float f32_canonical(float value)
{
    if (__builtin_expect(value != value, 0)) {
        __asm__ volatile("");
        value = f32_of_bits(F32_CANONICAL_NAN);
    }
    return value;
}

NUMERIC double f64_canonical(double value)
{
    if (__builtin_expect(value != value, 0)) {
        __asm__ volatile("");
        value = f64_of_bits(F64_CANONICAL_NAN);
    }
    return value;
}
#endif

/* ---- Integers (4.3.2), the same for both widths. SIGN turns the bits into the signed number. ----
 */

#define INTEGER(t, uint, sint, bits)                                                               \
    NUMERIC uint t##_add(uint a, uint b)                                                           \
    {                                                                                              \
        return a + b;                                                                              \
    }                                                                                              \
    NUMERIC uint t##_sub(uint a, uint b)                                                           \
    {                                                                                              \
        return a - b;                                                                              \
    }                                                                                              \
    NUMERIC uint t##_mul(uint a, uint b)                                                           \
    {                                                                                              \
        return a * b;                                                                              \
    }                                                                                              \
    NUMERIC enum vm_trap t##_div_s_trap(uint a, uint b)                                            \
    {                                                                                              \
        if (b == 0) {                                                                              \
            return VM_TRAP_INTEGER_DIVIDE_BY_ZERO;                                                 \
        }                                                                                          \
        return a == (uint)1 << (bits - 1) && b == (uint)-1 ? VM_TRAP_INTEGER_OVERFLOW              \
                                                           : VM_TRAP_NONE;                         \
    }                                                                                              \
    NUMERIC uint t##_div_s(uint a, uint b)                                                         \
    {                                                                                              \
        return (uint)((sint)a / (sint)b);                                                          \
    }                                                                                              \
    NUMERIC enum vm_trap t##_div_u_trap(uint a, uint b)                                            \
    {                                                                                              \
        (void)a;                                                                                   \
        return b == 0 ? VM_TRAP_INTEGER_DIVIDE_BY_ZERO : VM_TRAP_NONE;                             \
    }                                                                                              \
    NUMERIC uint t##_div_u(uint a, uint b)                                                         \
    {                                                                                              \
        return a / b;                                                                              \
    }                                                                                              \
    NUMERIC enum vm_trap t##_rem_s_trap(uint a, uint b)                                            \
    {                                                                                              \
        return t##_div_u_trap(a, b);                                                               \
    }                                                                                              \
    NUMERIC uint t##_rem_s(uint a, uint b)                                                         \
    {                                                                                              \
        return b == (uint)-1 ? 0 : (uint)((sint)a % (sint)b);                                      \
    }                                                                                              \
    NUMERIC enum vm_trap t##_rem_u_trap(uint a, uint b)                                            \
    {                                                                                              \
        return t##_div_u_trap(a, b);                                                               \
    }                                                                                              \
    NUMERIC uint t##_rem_u(uint a, uint b)                                                         \
    {                                                                                              \
        return a % b;                                                                              \
    }                                                                                              \
    NUMERIC uint t##_and(uint a, uint b)                                                           \
    {                                                                                              \
        return a & b;                                                                              \
    }                                                                                              \
    NUMERIC uint t##_or(uint a, uint b)                                                            \
    {                                                                                              \
        return a | b;                                                                              \
    }                                                                                              \
    NUMERIC uint t##_xor(uint a, uint b)                                                           \
    {                                                                                              \
        return a ^ b;                                                                              \
    }                                                                                              \
    NUMERIC uint t##_shl(uint a, uint b)                                                           \
    {                                                                                              \
        return a << (b & (bits - 1));                                                              \
    }                                                                                              \
    NUMERIC uint t##_shr_s(uint a, uint b)                                                         \
    {                                                                                              \
        return (uint)((sint)a >> (b & (bits - 1)));                                                \
    }                                                                                              \
    NUMERIC uint t##_shr_u(uint a, uint b)                                                         \
    {                                                                                              \
        return a >> (b & (bits - 1));                                                              \
    }                                                                                              \
    NUMERIC uint t##_rotl(uint a, uint b)                                                          \
    {                                                                                              \
        return a << (b & (bits - 1)) | a >> ((0 - b) & (bits - 1));                                \
    }                                                                                              \
    NUMERIC uint t##_rotr(uint a, uint b)                                                          \
    {                                                                                              \
        return a >> (b & (bits - 1)) | a << ((0 - b) & (bits - 1));                                \
    }                                                                                              \
    NUMERIC uint32_t t##_eqz(uint a)                                                               \
    {                                                                                              \
        return a == 0;                                                                             \
    }                                                                                              \
    NUMERIC uint32_t t##_eq(uint a, uint b)                                                        \
    {                                                                                              \
        return a == b;                                                                             \
    }                                                                                              \
    NUMERIC uint32_t t##_ne(uint a, uint b)                                                        \
    {                                                                                              \
        return a != b;                                                                             \
    }                                                                                              \
    NUMERIC uint32_t t##_lt_s(uint a, uint b)                                                      \
    {                                                                                              \
        return (sint)a < (sint)b;                                                                  \
    }                                                                                              \
    NUMERIC uint32_t t##_lt_u(uint a, uint b)                                                      \
    {                                                                                              \
        return a < b;                                                                              \
    }                                                                                              \
    NUMERIC uint32_t t##_gt_s(uint a, uint b)                                                      \
    {                                                                                              \
        return (sint)a > (sint)b;                                                                  \
    }                                                                                              \
    NUMERIC uint32_t t##_gt_u(uint a, uint b)                                                      \
    {                                                                                              \
        return a > b;                                                                              \
    }                                                                                              \
    NUMERIC uint32_t t##_le_s(uint a, uint b)                                                      \
    {                                                                                              \
        return (sint)a <= (sint)b;                                                                 \
    }                                                                                              \
    NUMERIC uint32_t t##_le_u(uint a, uint b)                                                      \
    {                                                                                              \
        return a <= b;                                                                             \
    }                                                                                              \
    NUMERIC uint32_t t##_ge_s(uint a, uint b)                                                      \
    {                                                                                              \
        return (sint)a >= (sint)b;                                                                 \
    }                                                                                              \
    NUMERIC uint32_t t##_ge_u(uint a, uint b)                                                      \
    {                                                                                              \
        return a >= b;                                                                             \
    }                                                                                              \
    NUMERIC uint t##_extend8_s(uint a)                                                             \
    {                                                                                              \
        return (uint)(sint)(int8_t)a;                                                              \
    }                                                                                              \
    NUMERIC uint t##_extend16_s(uint a)                                                            \
    {                                                                                              \
        return (uint)(sint)(int16_t)a;                                                             \
    }

INTEGER(i32, uint32_t, int32_t, 32)
INTEGER(i64, uint64_t, int64_t, 64)
#undef INTEGER

NUMERIC uint32_t i32_clz(uint32_t a)
{
    return a == 0 ? 32 : (uint32_t)__builtin_clz(a);
}

NUMERIC uint32_t i32_ctz(uint32_t a)
{
    return a == 0 ? 32 : (uint32_t)__builtin_ctz(a);
}

NUMERIC uint32_t i32_popcnt(uint32_t a)
{
    return (uint32_t)__builtin_popcount(a);
}

NUMERIC uint64_t i64_clz(uint64_t a)
{
    return a == 0 ? 64 : (uint64_t)__builtin_clzll(a);
}

NUMERIC uint64_t i64_ctz(uint64_t a)
{
    return a == 0 ? 64 : (uint64_t)__builtin_ctzll(a);
}

NUMERIC uint64_t i64_popcnt(uint64_t a)
{
    return (uint64_t)__builtin_popcountll(a);
}

NUMERIC uint64_t i64_extend32_s(uint64_t a)
{
    return (uint64_t)(int64_t)(int32_t)a;
}

/* ---- Floats (4.3.3) ---- */

#define FLOAT(t, type, uint, bits, sign, s)                                                        \
    NUMERIC type t##_add(type a, type b)                                                           \
    {                                                                                              \
        return t##_canonical(a + b);                                                               \
    }                                                                                              \
    NUMERIC type t##_sub(type a, type b)                                                           \
    {                                                                                              \
        return t##_canonical(a - b);                                                               \
    }                                                                                              \
    NUMERIC type t##_mul(type a, type b)                                                           \
    {                                                                                              \
        return t##_canonical(a * b);                                                               \
    }                                                                                              \
    NUMERIC type t##_div(type a, type b)                                                           \
    {                                                                                              \
        return t##_canonical(a / b);                                                               \
    }                                                                                              \
    NUMERIC type t##_min(type a, type b)                                                           \
    {                                                                                              \
        if (a == b) { /* -0 is less than 0 */                                                      \
            return t##_of_bits(t##_bits(a) | t##_bits(b));                                         \
        }                                                                                          \
        return t##_canonical(a != a ? a : a < b ? a : b);                                          \
    }                                                                                              \
    NUMERIC type t##_max(type a, type b)                                                           \
    {                                                                                              \
        if (a == b) {                                                                              \
            return t##_of_bits(t##_bits(a) & t##_bits(b));                                         \
        }                                                                                          \
        return t##_canonical(a != a ? a : a > b ? a : b);                                          \
    }                                                                                              \
    NUMERIC type t##_copysign(type a, type b)                                                      \
    {                                                                                              \
        return t##_of_bits((t##_bits(a) & ~(uint)sign) | (t##_bits(b) & sign));                    \
    }                                                                                              \
    NUMERIC type t##_abs(type a)                                                                   \
    {                                                                                              \
        return t##_of_bits(t##_bits(a) & ~(uint)sign);                                             \
    }                                                                                              \
    NUMERIC type t##_neg(type a)                                                                   \
    {                                                                                              \
        return t##_of_bits(t##_bits(a) ^ sign);                                                    \
    }                                                                                              \
    NUMERIC type t##_ceil(type a)                                                                  \
    {                                                                                              \
        return t##_canonical(ceil##s(a));                                                          \
    }                                                                                              \
    NUMERIC type t##_floor(type a)                                                                 \
    {                                                                                              \
        return t##_canonical(floor##s(a));                                                         \
    }                                                                                              \
    NUMERIC type t##_trunc(type a)                                                                 \
    {                                                                                              \
        return t##_canonical(trunc##s(a));                                                         \
    }                                                                                              \
    NUMERIC type t##_nearest(type a) /* the rounding mode is never changed: ties to even */        \
    {                                                                                              \
        return t##_canonical(rint##s(a));                                                          \
    }                                                                                              \
    NUMERIC type t##_sqrt(type a)                                                                  \
    {                                                                                              \
        return t##_canonical(sqrt##s(a));                                                          \
    }                                                                                              \
    NUMERIC uint32_t t##_eq(type a, type b)                                                        \
    {                                                                                              \
        return a == b;                                                                             \
    }                                                                                              \
    NUMERIC uint32_t t##_ne(type a, type b)                                                        \
    {                                                                                              \
        return a != b;                                                                             \
    }                                                                                              \
    NUMERIC uint32_t t##_lt(type a, type b)                                                        \
    {                                                                                              \
        return a < b;                                                                              \
    }                                                                                              \
    NUMERIC uint32_t t##_gt(type a, type b)                                                        \
    {                                                                                              \
        return a > b;                                                                              \
    }                                                                                              \
    NUMERIC uint32_t t##_le(type a, type b)                                                        \
    {                                                                                              \
        return a <= b;                                                                             \
    }                                                                                              \
    NUMERIC uint32_t t##_ge(type a, type b)                                                        \
    {                                                                                              \
        return a >= b;                                                                             \
    }

FLOAT(f32, float, uint32_t, 32, 0x80000000u, f)
FLOAT(f64, double, uint64_t, 64, 0x8000000000000000u, )
#undef FLOAT

/* ---- Conversions (4.3.4) ---- */

/* Float to integer: in range when low < a < high, both being the first floats outside; for a
 * bound that no float can overstep by less than one, it is the neighbour (…_MIN - 1 is not a float,
 * so `a >= MIN` is written as a > the next float below it). */
#define TRUNCATE(name, type, uint, sint, low, high, min, max)                                      \
    NUMERIC enum vm_trap name##_trap(type a)                                                       \
    {                                                                                              \
        if (__builtin_expect(a > low && a < high, 1)) {                                            \
            return VM_TRAP_NONE;                                                                   \
        }                                                                                          \
        return a != a ? VM_TRAP_INVALID_CONVERSION : VM_TRAP_INTEGER_OVERFLOW;                     \
    }                                                                                              \
    NUMERIC uint name(type a)                                                                      \
    {                                                                                              \
        return (uint)(sint)a;                                                                      \
    }                                                                                              \
    NUMERIC uint SATURATING(name)(type a)                                                          \
    {                                                                                              \
        if (a > low && a < high) {                                                                 \
            return (uint)(sint)a;                                                                  \
        }                                                                                          \
        return a != a ? 0 : a < 0 ? (uint)min : (uint)max;                                         \
    }
#define SATURATING(name) name##_saturating

TRUNCATE(i32_trunc_f32_s, float, uint32_t, int32_t, -2147483904.0f, 2147483648.0f, INT32_MIN,
         INT32_MAX)
TRUNCATE(i32_trunc_f32_u, float, uint32_t, uint32_t, -1.0f, 4294967296.0f, 0, UINT32_MAX)
TRUNCATE(i32_trunc_f64_s, double, uint32_t, int32_t, -2147483649.0, 2147483648.0, INT32_MIN,
         INT32_MAX)
TRUNCATE(i32_trunc_f64_u, double, uint32_t, uint32_t, -1.0, 4294967296.0, 0, UINT32_MAX)
TRUNCATE(i64_trunc_f32_s, float, uint64_t, int64_t, -9223373136366403584.0f, 9223372036854775808.0f,
         INT64_MIN, INT64_MAX)
TRUNCATE(i64_trunc_f32_u, float, uint64_t, uint64_t, -1.0f, 18446744073709551616.0f, 0, UINT64_MAX)
TRUNCATE(i64_trunc_f64_s, double, uint64_t, int64_t, -9223372036854777856.0, 9223372036854775808.0,
         INT64_MIN, INT64_MAX)
TRUNCATE(i64_trunc_f64_u, double, uint64_t, uint64_t, -1.0, 18446744073709551616.0, 0, UINT64_MAX)
#undef TRUNCATE
#undef SATURATING

#define CONVERT(name, to, from, expression)                                                        \
    NUMERIC to name(from a)                                                                        \
    {                                                                                              \
        return expression;                                                                         \
    }

CONVERT(i32_wrap_i64, uint32_t, uint64_t, (uint32_t)a)
CONVERT(i64_extend_i32_s, uint64_t, uint32_t, (uint64_t)(int64_t)(int32_t)a)
CONVERT(i64_extend_i32_u, uint64_t, uint32_t, a)
CONVERT(f32_convert_i32_s, float, uint32_t, (float)(int32_t)a)
CONVERT(f32_convert_i32_u, float, uint32_t, (float)a)
CONVERT(f32_convert_i64_s, float, uint64_t, (float)(int64_t)a)
CONVERT(f32_convert_i64_u, float, uint64_t, (float)a)
CONVERT(f32_demote_f64, float, double, f32_canonical((float)a))
CONVERT(f64_convert_i32_s, double, uint32_t, (double)(int32_t)a)
CONVERT(f64_convert_i32_u, double, uint32_t, (double)a)
CONVERT(f64_convert_i64_s, double, uint64_t, (double)(int64_t)a)
CONVERT(f64_convert_i64_u, double, uint64_t, (double)a)
CONVERT(f64_promote_f32, double, float, f64_canonical((double)a))
CONVERT(i32_reinterpret_f32, uint32_t, float, f32_bits(a))
CONVERT(i64_reinterpret_f64, uint64_t, double, f64_bits(a))
CONVERT(f32_reinterpret_i32, float, uint32_t, f32_of_bits(a))
CONVERT(f64_reinterpret_i64, double, uint64_t, f64_of_bits(a))
#undef CONVERT

/* ---- What loads and stores do to the bits ---- */

#define LOAD_AS(name, out, memory_type)                                                            \
    NUMERIC out name(const uint8_t *address)                                                       \
    {                                                                                              \
        memory_type value;                                                                         \
        memcpy(&value, address, sizeof value);                                                     \
        return (out)value;                                                                         \
    }

LOAD_AS(load_i32, uint32_t, uint32_t)
LOAD_AS(load_i64, uint64_t, uint64_t)
LOAD_AS(load_f32, float, float)
LOAD_AS(load_f64, double, double)
LOAD_AS(load_i32_8_s, uint32_t, int8_t)
LOAD_AS(load_i32_8_u, uint32_t, uint8_t)
LOAD_AS(load_i32_16_s, uint32_t, int16_t)
LOAD_AS(load_i32_16_u, uint32_t, uint16_t)
LOAD_AS(load_i64_8_s, uint64_t, int8_t)
LOAD_AS(load_i64_8_u, uint64_t, uint8_t)
LOAD_AS(load_i64_16_s, uint64_t, int16_t)
LOAD_AS(load_i64_16_u, uint64_t, uint16_t)
LOAD_AS(load_i64_32_s, uint64_t, int32_t)
LOAD_AS(load_i64_32_u, uint64_t, uint32_t)
#undef LOAD_AS

#define STORE_AS(name, in, memory_type)                                                            \
    NUMERIC void name(uint8_t *address, in value)                                                  \
    {                                                                                              \
        memory_type cut = (memory_type)value;                                                      \
        memcpy(address, &cut, sizeof cut);                                                         \
    }

STORE_AS(store_i32, uint32_t, uint32_t)
STORE_AS(store_i64, uint64_t, uint64_t)
STORE_AS(store_f32, float, float)
STORE_AS(store_f64, double, double)
STORE_AS(store_i32_8, uint32_t, uint8_t)
STORE_AS(store_i32_16, uint32_t, uint16_t)
STORE_AS(store_i64_8, uint64_t, uint8_t)
STORE_AS(store_i64_16, uint64_t, uint16_t)
STORE_AS(store_i64_32, uint64_t, uint32_t)
#undef STORE_AS

#undef NUMERIC

#endif
