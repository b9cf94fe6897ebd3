/* play_vm.h: runs the two modules of generate_vm.h from beginning to end and keeps all that can be
 * seen.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FUZZ_PLAY_VM_H
#define FUZZ_PLAY_VM_H

#include "generate_vm.h"

#define PLAY_ALL_AT_ONCE UINT64_MAX

struct play_options {
    bool slots_only;    /* translated without folding and fusion */
    uint64_t gas_limit; /* of each run */
    uint64_t slice;
};

enum { PLAY_STEPS_MAX = 2 + 2 * GENERATE_OWN_FUNCS_MAX };

struct play_state { /* hashes of what the two instances share and of what they do not */
    uint32_t memories[2], globals, tables;
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

/* Aborts if a module does not load or link, or if memory is not given back. */
void play(const struct generated *generated, const struct play_options *options, struct play *out);

/* Of 32-bit words; the hash of nothing is PLAY_HASH_BEGIN. */
#define PLAY_HASH_BEGIN 0x811c9dc5u
uint32_t play_hash(uint32_t hash, uint32_t word);

#endif
