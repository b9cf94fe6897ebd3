/* engine.h: one instance of a module from wat/, and calls of it, for the tests of the back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_VM_ENGINE_H
#define TESTS_VM_ENGINE_H

#include "vm/instance.h"

struct engine {
    struct vm_store *store;
    struct vm_instance *instance;
};

struct engine_options {
    bool slots_only;                /* translated without folding and fusion */
    const struct vm_limits *limits; /* of the store; NULL: the default ones */
    struct budget *parent;          /* of the store's budget; NULL: none */
};

/* Instantiates wat/<name>.wat, which imports nothing, and runs its start. One at a time. */
struct engine engine_open(const char *name, struct engine_options options);
/* The same of bytes, which need not be kept. */
struct engine engine_open_wasm(struct bytes wasm, struct engine_options options);
/* Asserts that everything is given back. */
void engine_close(struct engine *engine);
/* Another module in the same store; its start is not run. */
struct vm_instance *engine_add(struct engine *engine, const char *name,
                               const struct vm_extern *imports);
struct vm_instance *engine_add_with(struct engine *engine, const char *name,
                                    const struct vm_extern *imports, struct engine_options options);
struct vm_func *engine_func(const struct vm_instance *instance, const char *name);
struct vm_value engine_i32(uint32_t value);

struct outcome {
    enum vm_status status;
    uint64_t gas;
    struct vm_trap_info trap; /* TRAPPED */
    uint64_t results[4];      /* RETURNED, as slots */
    uint64_t memory;          /* a hash of the exported memory */
    uint64_t slices;
};

#define ENGINE_NO_LIMIT UINT64_MAX

/* Calls an export of type [] or [i32] -> any, `slice` gas at a time. */
struct outcome engine_call(struct engine *engine, const char *name, uint32_t argument,
                           uint64_t gas_limit, uint64_t slice);
/* The same, each slice in a thread of its own. */
struct outcome engine_call_on_threads(struct engine *engine, const char *name, uint32_t argument,
                                      uint64_t gas_limit, uint64_t slice);
/* Asserts that an export comes to the same in folded code and in slots only, in slices of 1, 7 and
 * 1000, on changing threads, and with every gas limit from `first` on: out of gas with exactly that
 * much, and the same memory. `open` makes the engine anew. Returns the run with no limit. */
struct outcome engine_assert_sweep(struct engine (*open)(bool slots_only), const char *name,
                                   uint32_t argument, uint64_t first);
/* Asserts that two runs cannot be told apart (slices aside). */
void engine_assert_equal(const struct outcome *a, const struct outcome *b);

#endif
