/* oracle_vm.c: writes random modules and what this engine makes of them, for another engine to do
 * the same (oracle_vm.mjs). A tool for the hand, not a test:
 *
 *   oracle_vm FIRST COUNT FOLDER > FOLDER/ours      numbers FIRST ... are the seeds
 *   node fuzz/oracle_vm.mjs FIRST COUNT FOLDER > FOLDER/theirs
 *   diff FOLDER/ours FOLDER/theirs
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "play_vm.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { CHOICES_MAX = 8192 };

/* xorshift64*, so that a seed is all one must remember. */
static void fill(uint8_t *bytes, size_t size, uint64_t seed)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
    for (size_t i = 0; i < size; i++) {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes[i] = (uint8_t)((state * 0x2545f4914f6cdd1du) >> 56);
    }
}

static bool write_module(const char *folder, uint64_t seed, const char *which,
                         const struct buffer *wasm)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%" PRIu64 ".%s.wasm", folder, seed, which);
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        perror(path);
        return false;
    }
    bool is_written = fwrite(wasm->ptr, 1, wasm->size, file) == wasm->size;
    return fclose(file) == 0 && is_written;
}

/* Names that another engine's messages can be translated to. */
static const char *trap_class(enum vm_trap trap)
{
    switch ((int)trap) {
    case VM_TRAP_INVALID_CONVERSION:
    case VM_TRAP_INTEGER_OVERFLOW:
        return "OVERFLOW";
    case VM_TRAP_UNINITIALIZED_ELEMENT:
    case VM_TRAP_INDIRECT_CALL_TYPE_MISMATCH:
        return "CALL_TARGET";
    case VM_TRAP_UNDEFINED_ELEMENT:
    case VM_TRAP_OUT_OF_BOUNDS_TABLE:
        return "TABLE_BOUNDS";
    default:
        return vm_trap_name(trap);
    }
}

static bool is_nan(const struct vm_value *value)
{
    return value->type == VM_F32 ? (value->as.f32 & 0x7fffffff) > 0x7f800000
                                 : (value->as.f64 & INT64_MAX) > 0x7ff0000000000000;
}

static void print_value(const struct vm_value *value)
{
    switch (value->type) {
    case VM_I32:
        printf(" i32:%x", value->as.i32);
        return;
    case VM_I64:
        printf(" i64:%" PRIx64, value->as.i64);
        return;
    case VM_F32:
        printf(is_nan(value) ? " f32:nan" : " f32:%x", value->as.f32);
        return;
    case VM_F64:
        printf(is_nan(value) ? " f64:nan" : " f64:%" PRIx64, value->as.f64);
        return;
    case VM_FUNCREF:
    case VM_EXTERNREF:
        printf(" ref:%s", value->as.i64 == 0 ? "null" : "some");
        return;
    case VM_V128:
        return;
    }
}

static void print_step(uint64_t seed, const struct play_step *step)
{
    printf("%" PRIu64 " %s ", seed, step->is_second ? "second" : "first");
    printf(step->is_start ? "start:" : "r%u:", step->export);
    if (step->status == VM_TRAPPED) {
        printf(" trap %s", trap_class(step->trap.trap));
    } else if (step->status == VM_OUT_OF_GAS) {
        printf(" out of gas");
    }
    for (uint32_t i = 0; i < step->result_count; i++) {
        print_value(&step->results[i]);
    }
    bool has_exports = !step->is_start || step->status == VM_RETURNED;
    bool has_second = step->is_second && has_exports;
    if (step->is_second || has_exports) {
        printf(" memory %x", step->state.memories[0]);
    }
    if (has_second) {
        printf(" %x", step->state.memories[1]);
    }
    printf("\n");
}

int main(int argc, char **argv)
{
    static uint8_t choices[CHOICES_MAX];
    static struct play played;
    if (argc != 4) {
        (void)fprintf(stderr, "usage: oracle_vm FIRST COUNT FOLDER\n");
        return EXIT_FAILURE;
    }
    uint64_t first = strtoull(argv[1], NULL, 10);
    uint64_t count = strtoull(argv[2], NULL, 10);
    const struct play_options options = {.gas_limit = UINT64_MAX, .slice = PLAY_ALL_AT_ONCE};
    for (uint64_t seed = first; seed < first + count; seed++) {
        struct generated modules;
        fill(choices, sizeof choices, seed);
        generate(bytes_of(choices, sizeof choices),
                 (struct generate_options){.canonical_nans = true}, &modules);
        play(&modules, &options, &played);
        bool is_written = write_module(argv[3], seed, "first", &modules.first) &&
                          write_module(argv[3], seed, "second", &modules.second);
        generated_release(&modules);
        if (!is_written) {
            return EXIT_FAILURE;
        }
        for (uint32_t i = 0; i < played.count; i++) {
            print_step(seed, &played.steps[i]);
        }
    }
    return EXIT_SUCCESS;
}
