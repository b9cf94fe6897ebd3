/* histogram.c: fixed bounds, relaxed counters.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/histogram.h"

#define US(n) ((n)*UINT64_C(1000))
#define MS(n) ((n)*UINT64_C(1000000))
#define S(n) ((n)*UINT64_C(1000000000))

static const struct histogram_scale histogram_scales[HISTOGRAM_KIND_COUNT] = {
    [HISTOGRAM_SECONDS] = {24,
                           {US(10), US(20), US(50), US(100), US(200), US(500), MS(1),   MS(2),
                            MS(5),  MS(10), MS(20), MS(50),  MS(100), MS(200), MS(500), S(1),
                            S(2),   S(5),   S(10),  S(20),   S(50),   S(100),  S(200),  S(500)},
                           1e9},
    [HISTOGRAM_ENTRIES] = {13, {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096}, 1},
};

void histogram_init(struct histogram *histogram, enum histogram_kind kind)
{
    *histogram = (struct histogram){.kind = kind};
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
    const struct histogram_scale *scale = &histogram_scales[histogram->kind];
    size_t bucket = 0;
    while (bucket < scale->count && value > scale->bounds[bucket]) {
        bucket++;
    }
    atomic_fetch_add_explicit(&histogram->buckets[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum, value, memory_order_relaxed);
}

void histogram_read(const struct histogram *histogram, struct histogram_facts *out)
{
    *out = (struct histogram_facts){.scale = &histogram_scales[histogram->kind]};
    for (size_t i = 0; i <= out->scale->count; i++) {
        out->count += atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);
        out->cumulated[i] = out->count;
    }
    out->sum = atomic_load_explicit(&histogram->sum, memory_order_relaxed);
}
