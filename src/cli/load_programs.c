/* load_programs.c: three small programs of a tenant, and what they have to give.
 *
 * The texts below are the modules' sources; tests/cli/test_load.c runs the bytes and compares.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/load.h"

#include <inttypes.h>

/* (module (memory (export "memory") 1)
 *   (func (export "mix") (param $x i64) (param $n i32) (result i64)
 *     (loop $again
 *       (local.set $x (i64.add (i64.mul (local.get $x) (i64.const 6364136223846793005))
 *                              (i64.const 1442695040888963407)))
 *       (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
 *     (i64.store (i32.const 1024) (local.get $x))
 *     (i64.load (i32.const 1024)))) */
static const uint8_t mix_wasm[] = {
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x07, 0x01, 0x60, 0x02, 0x7e, 0x7f,
    0x01, 0x7e, 0x03, 0x02, 0x01, 0x00, 0x05, 0x03, 0x01, 0x00, 0x01, 0x07, 0x10, 0x02, 0x06,
    0x6d, 0x65, 0x6d, 0x6f, 0x72, 0x79, 0x02, 0x00, 0x03, 0x6d, 0x69, 0x78, 0x00, 0x00, 0x0a,
    0x39, 0x01, 0x37, 0x00, 0x03, 0x40, 0x20, 0x00, 0x42, 0xad, 0xfe, 0xd5, 0xe4, 0xd4, 0x85,
    0xfd, 0xa8, 0xd8, 0x00, 0x7e, 0x42, 0xcf, 0x82, 0x9e, 0xbb, 0xef, 0xef, 0xde, 0x82, 0x14,
    0x7c, 0x21, 0x00, 0x20, 0x01, 0x41, 0x01, 0x6b, 0x22, 0x01, 0x0d, 0x00, 0x0b, 0x41, 0x80,
    0x08, 0x20, 0x00, 0x37, 0x03, 0x00, 0x41, 0x80, 0x08, 0x29, 0x03, 0x00, 0x0b};

/* (module (func (export "spin") (loop $again (br $again)))) */
static const uint8_t spin_wasm[] = {0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x04,
                                    0x01, 0x60, 0x00, 0x00, 0x03, 0x02, 0x01, 0x00, 0x07, 0x08,
                                    0x01, 0x04, 0x73, 0x70, 0x69, 0x6e, 0x00, 0x00, 0x0a, 0x09,
                                    0x01, 0x07, 0x00, 0x03, 0x40, 0x0c, 0x00, 0x0b, 0x0b};

/* (module (memory (export "memory") 1)
 *   (func (export "touch") (param $pages i32) (param $seed i32) (result i64)
 *     (local $at i32) (local $end i32) (local $sum i64)
 *     (if (i32.eq (memory.grow (i32.sub (local.get $pages) (i32.const 1))) (i32.const -1))
 *       (then (return (i64.const -1))))
 *     (local.set $end (i32.shl (local.get $pages) (i32.const 16)))
 *     (loop $write
 *       (i32.store (local.get $at) (i32.add (local.get $at) (local.get $seed)))
 *       (br_if $write (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4096)))
 *                               (local.get $end))))
 *     (local.set $at (i32.const 0))
 *     (loop $read
 *       (local.set $sum (i64.add (local.get $sum)
 *                                (i64.extend_i32_u (i32.load (local.get $at)))))
 *       (br_if $read (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4096)))
 *                              (local.get $end))))
 *     (local.get $sum))) */
static const uint8_t touch_wasm[] = {
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x07, 0x01, 0x60, 0x02, 0x7f, 0x7f, 0x01,
    0x7e, 0x03, 0x02, 0x01, 0x00, 0x05, 0x03, 0x01, 0x00, 0x01, 0x07, 0x12, 0x02, 0x06, 0x6d, 0x65,
    0x6d, 0x6f, 0x72, 0x79, 0x02, 0x00, 0x05, 0x74, 0x6f, 0x75, 0x63, 0x68, 0x00, 0x00, 0x0a, 0x5a,
    0x01, 0x58, 0x02, 0x02, 0x7f, 0x01, 0x7e, 0x20, 0x00, 0x41, 0x01, 0x6b, 0x40, 0x00, 0x41, 0x7f,
    0x46, 0x04, 0x40, 0x42, 0x7f, 0x0f, 0x0b, 0x20, 0x00, 0x41, 0x10, 0x74, 0x21, 0x03, 0x03, 0x40,
    0x20, 0x02, 0x20, 0x02, 0x20, 0x01, 0x6a, 0x36, 0x02, 0x00, 0x20, 0x02, 0x41, 0x80, 0x20, 0x6a,
    0x22, 0x02, 0x20, 0x03, 0x49, 0x0d, 0x00, 0x0b, 0x41, 0x00, 0x21, 0x02, 0x03, 0x40, 0x20, 0x04,
    0x20, 0x02, 0x28, 0x02, 0x00, 0xad, 0x7c, 0x21, 0x04, 0x20, 0x02, 0x41, 0x80, 0x20, 0x6a, 0x22,
    0x02, 0x20, 0x03, 0x49, 0x0d, 0x00, 0x0b, 0x20, 0x04, 0x0b};

static const struct {
    struct bytes wasm;
    const char *function;
} programs[] = {
    [LOAD_MIX] = {{mix_wasm, sizeof mix_wasm}, "mix"},
    [LOAD_SPIN] = {{spin_wasm, sizeof spin_wasm}, "spin"},
    [LOAD_TOUCH] = {{touch_wasm, sizeof touch_wasm}, "touch"},
};

struct bytes load_program_wasm(enum load_program program)
{
    return programs[program].wasm;
}

const char *load_program_function(enum load_program program)
{
    return programs[program].function;
}

json_t *load_program_arguments(const struct load_job *job)
{
    char seed[24];
    switch (job->program) {
    case LOAD_MIX:
        snprintf(seed, sizeof seed, "%" PRIu64, job->seed);
        return json_pack("[{s:s}, I]", "value", seed, (json_int_t)job->size);
    case LOAD_TOUCH:
        return json_pack("[I, I]", (json_int_t)job->size, (json_int_t)(uint32_t)job->seed);
    case LOAD_SPIN:
        break;
    }
    return json_array();
}

/* The n-th state without the n-1 before it: squaring the step x -> m x + a doubles its length
 * (F. Brown, Random Number Generation with Arbitrary Strides). */
static uint64_t mix_result(uint64_t seed, uint32_t steps)
{
    uint64_t multiply = UINT64_C(6364136223846793005), add = UINT64_C(1442695040888963407);
    uint64_t multiplied = 1, added = 0;
    for (; steps > 0; steps >>= 1) {
        if ((steps & 1) != 0) {
            multiplied *= multiply;
            added = added * multiply + add;
        }
        add *= multiply + 1;
        multiply *= multiply;
    }
    return multiplied * seed + added;
}

static uint64_t touch_result(uint32_t pages, uint32_t seed)
{
    uint64_t sum = 0;
    for (uint64_t at = 0; at < (uint64_t)pages * 65536; at += 4096) {
        sum += (uint32_t)at + seed; /* 32 bits, as the program adds */
    }
    return sum;
}

uint64_t load_program_result(const struct load_job *job)
{
    switch (job->program) {
    case LOAD_MIX:
        return mix_result(job->seed, job->size);
    case LOAD_TOUCH:
        return touch_result(job->size, (uint32_t)job->seed);
    case LOAD_SPIN:
        break;
    }
    return 0;
}
