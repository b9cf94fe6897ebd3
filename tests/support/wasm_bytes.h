/* wasm_bytes.h: modules written as bytes in a test, section by section, with the sizes filled in.
 *
 *   struct buffer wasm = WASM({1, BYTES(1, 0x60, 0, 0)}, {3, BYTES(1, 0)}, …);
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SUPPORT_WASM_BYTES_H
#define SUPPORT_WASM_BYTES_H

#include "vm/vm.h"

struct wasm_section {
    uint8_t id;
    struct bytes contents;
};

#define BYTES(...)                                                                                 \
    {                                                                                              \
        (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})                     \
    }
#define WASM(...)                                                                                  \
    wasm_of((const struct wasm_section[]){__VA_ARGS__},                                            \
            sizeof((const struct wasm_section[]){__VA_ARGS__}) / sizeof(struct wasm_section))

void wasm_leb(struct buffer *out, uint32_t value);
/* Release with buffer_release. */
struct buffer wasm_of(const struct wasm_section *sections, size_t count);
/* The code section of one function; locals as they are encoded, their count of groups first. */
struct buffer wasm_code(struct bytes locals, struct bytes body);
/* One function of type [] -> [], a memory, a mutable i32 global, a table of functions; the body is
 * the expression without its last end. */
struct buffer wasm_of_body(struct bytes body);
/* One function of type [] -> [], exported as "f", with so many locals of a type; the body as above.
 */
struct buffer wasm_of_locals(uint32_t count, uint8_t type, struct bytes body);
/* `count` times the pattern, between a beginning and an end. */
struct buffer wasm_repeat(struct bytes begin, struct bytes pattern, uint32_t count,
                          struct bytes end);
/* fuzz/corpus/vm_decode/<name>.wasm. */
struct buffer wasm_of_seed(const char *name);
extern const char *const wasm_seeds[]; /* ends with NULL */

/* Loads, with limits NULL the default ones, and gives the bytes back. NULL on failure. */
struct vm_module *wasm_load(struct buffer *wasm, const struct vm_limits *limits, struct err *err);
/* Asserts that it is refused with that code and that the message holds the text. */
void wasm_refused(struct buffer wasm, const struct vm_limits *limits, enum err_code code,
                  const char *text);
void wasm_accepted(struct buffer wasm, const struct vm_limits *limits);

#endif
