/* kernels.h: what the parts of bench_kernels share: a kernel, one measurement, who measures.
 *
 * Every measurement is processor time, not the clock on the wall, so that whatever else the machine
 * does matters little; and a rate against ours that was measured a moment before and after, so that
 * the machine's own changes of speed matter little.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BENCH_KERNELS_H
#define BENCH_KERNELS_H

#include "base/bytes.h"

#include <stdio.h>

struct kernel {
    const char *name;
    const char *path; /* of the module */
    const char *function;
    uint32_t rounds;                /* the argument */
    uint32_t (*native)(uint32_t n); /* the same, compiled for this machine; NULL: there is none */
    const char
        *alone; /* a module whose only function takes nothing and does a few rounds; or NULL */
    uint32_t alone_rounds;
};

struct kernel_sample {
    double ns; /* of processor time, without loading and start-up */
    uint32_t checksum;
    uint64_t gas; /* ours only */
};

/* Who runs a kernel. */
struct peer {
    const char *name;
    const char *program;        /* path; NULL: inside this process */
    const char *const *command; /* its arguments, see kernels_peer.c */
    bool alone;                 /* takes no argument: a kernel's module `alone` */
    bool tells_time;            /* prints its own nanoseconds after the checksum */
};

enum { PEERS_MAX = 12 };

/* Our engine, metered. Fails when it does not load, link or run the kernel. */
bool kernel_run_ours(const struct kernel *kernel, uint32_t n, struct kernel_sample *out,
                     struct err *err) MUST_CHECK;
/* What a fraction of its rounds consists of, as text; and how many WebAssembly instructions one
 * dispatch does, or 0 if that cannot be told. */
bool kernel_print_profile(const struct kernel *kernel, FILE *out, struct err *err) MUST_CHECK;
double kernel_gas_per_dispatch(const struct kernel *kernel);
/* How long a cycle of the processor takes. */
double kernel_cycle_ns(void);
/* As machine code. Fails when there is none. */
bool kernel_run_native(const struct kernel *kernel, uint32_t n, struct kernel_sample *out,
                       struct err *err) MUST_CHECK;

/* Fills in the peers found on this machine: ours first, then those of BENCH_PEERS in the
 * environment, then those in PATH, then native. Returns their count. */
size_t peers_find(struct peer peers[static PEERS_MAX]);
/* One measurement by any peer. Fails with the reason, when it cannot run the kernel. */
bool peer_run(const struct peer *peer, const struct kernel *kernel, uint32_t n,
              struct kernel_sample *out, struct err *err) MUST_CHECK;

#endif
