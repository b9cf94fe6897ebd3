/* test_features: vectors and what came after WebAssembly 2.0, each with its feature on and off; its
 * limits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/wasm_bytes.h"
#include "vm/instance.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct vm_features all = {.simd = true,
                                       .tail_call = true,
                                       .extended_const = true,
                                       .multi_memory = true,
                                       .memory64 = true};

static struct buffer body_of(const uint8_t *bytes, size_t size)
{
    return wasm_of_body(bytes_of(bytes, size));
}

#define BODY(...) body_of((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* A module that needs one feature is valid with it alone, and refused with all others. */
static void needs(struct vm_features only, struct vm_features others, struct buffer wasm,
                  const char *text)
{
    struct vm_limits limits = vm_limits_default;
    struct buffer copy;
    buffer_init(&copy, wasm.size + 1);
    buffer_append_bytes(&copy, buffer_bytes(&wasm));
    limits.features = only;
    wasm_accepted(wasm, &limits);
    limits.features = others;
    wasm_refused(copy, &limits, ERR_INVALID_WASM, text);
}

Test(vm_features, all_are_on_by_default)
{
    cr_assert_eq(memcmp(&vm_limits_default.features, &all, sizeof all), 0);
}

Test(vm_features, simd_on_and_off)
{
    const struct vm_features only = {.simd = true};
    struct vm_features others = all;
    others.simd = false;
    /* v128.not in code that is never reached; a block, a select, a local, a global and a parameter
     */
    needs(only, others, BODY(0x00, 0xfd, 0x4d, 0x1a), "illegal opcode: the feature simd is off");
    needs(only, others, BODY(0x00, 0x02, 0x7b, 0x00, 0x0b, 0x1a),
          "malformed value type v128: the feature simd is off");
    needs(only, others, BODY(0x00, 0x1c, 1, 0x7b, 0x1a),
          "malformed value type v128: the feature simd is off");
    needs(only, others,
          WASM({1, BYTES(1, 0x60, 0, 0)}, {3, BYTES(1, 0)}, {10, BYTES(1, 4, 1, 1, 0x7b, 0x0b)}),
          "malformed value type v128: the feature simd is off");
    needs(only, others,
          WASM({6, BYTES(1, 0x7b, 0, 0xfd, 0x0c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                         0x0b)}),
          "malformed value type v128: the feature simd is off");
    needs(only, others, WASM({1, BYTES(1, 0x60, 1, 0x7b, 0)}),
          "malformed value type v128: the feature simd is off");
}

Test(vm_features, tail_call_on_and_off)
{
    struct vm_features others = all;
    others.tail_call = false;
    needs((struct vm_features){.tail_call = true}, others, BODY(0x12, 0),
          "illegal opcode: the feature tail_call is off");
    needs((struct vm_features){.tail_call = true}, others, BODY(0x41, 0, 0x13, 0, 0),
          "illegal opcode: the feature tail_call is off");
}

Test(vm_features, extended_const_on_and_off)
{
    struct vm_features others = all;
    others.extended_const = false;
    needs((struct vm_features){.extended_const = true}, others,
          WASM({6, BYTES(1, 0x7f, 0, 0x41, 1, 0x41, 2, 0x6a, 0x0b)}),
          "constant expression required: the feature extended_const is off");
    needs((struct vm_features){.extended_const = true}, others,
          WASM({6, BYTES(2, 0x7f, 0, 0x41, 1, 0x0b, 0x7f, 0, 0x23, 0, 0x0b)}),
          "unknown global 0: the feature extended_const is off");
}

Test(vm_features, multi_memory_on_and_off)
{
    struct vm_features others = all;
    others.multi_memory = false;
    const struct vm_features only = {.multi_memory = true};
    needs(only, others, WASM({5, BYTES(2, 0, 0, 0, 0)}),
          "multiple memories: the feature multi_memory is off");
    const char *zero = "zero byte expected: the feature multi_memory is off";
    needs(only, others, BODY(0x3f, 0x80, 0, 0x1a), zero);
    needs(only, others, BODY(0x41, 0, 0x40, 0x80, 0, 0x1a), zero);
    needs(only, others, BODY(0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 11, 0x80, 0), zero);
    needs(only, others, BODY(0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 10, 0x80, 0, 0), zero);
    needs(only, others, BODY(0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 10, 0, 0x80, 0), zero);
    needs(only, others, BODY(0x41, 0, 0x28, 0x40, 0, 0, 0x1a),
          "malformed memop flags: the feature multi_memory is off");
}

Test(vm_features, memory64_on_and_off)
{
    struct vm_features others = all;
    others.memory64 = false;
    const struct vm_features only = {.memory64 = true};
    needs(only, others, WASM({5, BYTES(1, 4, 1)}), "the feature memory64 is off");
    needs(only, others, WASM({5, BYTES(1, 5, 1, 1)}), "the feature memory64 is off");
    needs(only, others, WASM({4, BYTES(1, 0x70, 4, 1)}), "the feature memory64 is off");
    needs(only, others, WASM({2, BYTES(1, 0, 0, 2, 4, 1)}), "the feature memory64 is off");
    /* an offset of 0 in six bytes */
    needs(only, others, BODY(0x41, 0, 0x28, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 0x1a),
          "integer representation too long: the feature memory64 is off");
}
