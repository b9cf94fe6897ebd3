/* bench.h: what the benches share: medians of repeated runs, lines of output, files.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include "base/arena.h"

/* Calls `run` until it has taken about a third of a second, in rounds, and returns the median of
 * the rounds' time for one call, in nanoseconds. */
double bench_median_ns(void (*run)(void *context), void *context);

/* "name<TAB>value<TAB>unit" */
void bench_print(const char *name, double value, const char *unit);

/* Reads a file whole, or says why not and exits. Free with heap_free. */
uint8_t *bench_file(const char *path, size_t *size);

#endif
