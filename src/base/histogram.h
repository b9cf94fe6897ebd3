/* histogram.h: how often a quantity was how large, counted without a lock.
 *
 * Whoever knows a duration or a size owns a histogram of it and adds to it; what it holds is read
 * from outside, any time, by any thread (service/metrics.def shows it to the operator). The bounds
 * are fixed by the kind of quantity, so that histograms of one kind can be compared and added up. A
 * value is counted by one relaxed addition to its bucket and one to the sum; whoever reads
 * meanwhile sees a sum that is a value ahead or behind, and a count that is always the sum of the
 * buckets.
 *
 * A zeroed histogram is an empty one of seconds.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum histogram_kind {
    HISTOGRAM_SECONDS, /* values in ns; bounds 1, 2, 5, 10 … from 10 us to 500 s */
    HISTOGRAM_ENTRIES, /* a number of things; bounds 1, 2, 4 … 4096 */
    HISTOGRAM_KIND_COUNT,
};

enum { HISTOGRAM_BOUNDS_MAX = 24 };

struct histogram {
    enum histogram_kind kind;
    _Atomic uint64_t buckets[HISTOGRAM_BOUNDS_MAX + 1]; /* not cumulative; the last of the kind's is
                                                           for what is above all bounds */
    _Atomic uint64_t sum;
};

struct histogram_scale { /* a value counts in the first bucket whose bound it does not exceed */
    size_t count;
    uint64_t bounds[HISTOGRAM_BOUNDS_MAX];
    double per_unit; /* bounds and sums divided by it are in the unit of the kind's name */
};

struct histogram_facts {
    const struct histogram_scale *scale;
    uint64_t cumulated[HISTOGRAM_BOUNDS_MAX + 1]; /* values up to bounds[i]; then all of them */
    uint64_t count;
    uint64_t sum;
};

/* Only for a kind other than seconds, and before anybody adds. */
void histogram_init(struct histogram *histogram, enum histogram_kind kind);
void histogram_add(struct histogram *histogram, uint64_t value);
void histogram_read(const struct histogram *histogram, struct histogram_facts *out);

#endif
