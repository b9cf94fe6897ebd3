/* play_vm.h: runs the two modules of generate_vm.h from beginning to end and keeps all that can be
 * seen.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FUZZ_PLAY_VM_H
#define FUZZ_PLAY_VM_H

#include "generate_vm.h"

#define PLAY_ALL_AT_ONCE UINT64_MAX

/* The two modules, loaded: any number of plays may use them. */
struct play_modules {
    struct budget budget;
    struct vm_module *modules[2];
};

struct play_options {
    uint64_t gas_limit; /* of each run */
    uint64_t slice;
    bool is_plain; /* look at values as play_plain_bits does */
};

enum { PLAY_STEPS_MAX = 2 + 2 * GENERATE_OWN_FUNCS_MAX };

struct play_state { /* hashes of what the two instances share and of what they do not */
    uint32_t memories[2], globals, globals_of_first, tables;
};

struct play_step { /* one run: a start, or an export "r..." */
    bool is_second;
    bool is_start;
    uint32_t export;
    enum vm_status status;
    struct vm_trap_info trap;
    uint64_t gas;
    uint32_t result_count;
    struct vm_value results[GENERATE_ARITY_MAX];
    struct play_state state; /* after it */
};

struct play {
    uint32_t count;
    struct play_step steps[PLAY_STEPS_MAX];
};

/* All abort if a module does not load or link, or if memory is not given back. slots_only:
 * translated without folding and fusion. */
void play_load(const struct generated *generated, bool slots_only, struct play_modules *out);
void play_unload(struct play_modules *modules);
/* A value as every engine may show it: one NaN stands for all, a reference is null or not. */
uint64_t play_plain_bits(const struct vm_value *value);
void play(const struct play_modules *modules, const struct play_options *options, struct play *out);

#endif
