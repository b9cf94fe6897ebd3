/* profile.h: how often each straight run of a program ran. Private to vm.
 *
 * A run that is stepped stops at every edge, so the pc at which it stands is the beginning of a
 * straight run, and the price that was paid for it tells which WebAssembly instructions it came
 * from (two labels may lie at one pc). Counting those beginnings is all that happens while the
 * program runs; what a straight run consists of is looked up afterwards, in the code and in the
 * body. Nothing of this costs anything when it is not used.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef VM_PROFILE_H
#define VM_PROFILE_H

#include "vm/code.h"

/* ---- run.c ---- */

struct run_point {
    const uint8_t *pc;              /* where the run goes on */
    const struct vm_module *module; /* whose code that is; NULL: not in any yet */
    uint32_t price;                 /* of the straight run there */
};
struct run_point run_point_of(const struct vm_run *run);
/* vm_run_slice up to the next edge, whatever it costs. */
enum vm_status run_step(struct vm_run *run);

/* ---- Counts by key ---- */

struct tally_row {
    uint64_t key, count;
};

struct tally {
    struct tally_row *rows; /* open addressing; count 0: free */
    size_t used, capacity;
    bool failed; /* no memory */
};

void tally_add(struct tally *tally, uint64_t key, uint64_t count);
uint64_t tally_get(const struct tally *tally, uint64_t key); /* 0: none */
/* The rows by count, the largest first; the tally can only be released after. */
void tally_sort(struct tally *tally);
void tally_release(struct tally *tally);

/* ---- The profile ---- */

struct profile_block { /* a straight run */
    const uint8_t *pc;
    const struct vm_module *module;
    uint32_t price;
    uint64_t count;
};

struct vm_profile {
    struct profile_block *blocks; /* open addressing; count 0: free */
    size_t used, capacity;
    bool failed;
};

#endif
