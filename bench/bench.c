/* bench.c: see bench.h.
 *
 * The machine's noise only ever adds time, and the median of rounds that are long against the clock
 * is near to what a quiet machine would show.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bench.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

enum { BENCH_ROUNDS = 9 };

static const uint64_t bench_round_ns = 40000000;

static int bench_compare(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

double bench_median_ns(void (*run)(void *context), void *context)
{
    double rounds[BENCH_ROUNDS];
    run(context); /* warm */
    for (size_t i = 0; i < BENCH_ROUNDS; i++) {
        uint64_t begin = clock_monotonic_ns(&clock_system);
        uint64_t elapsed = 0;
        uint64_t count = 0;
        do {
            run(context);
            count++;
            elapsed = clock_monotonic_ns(&clock_system) - begin;
        } while (elapsed < bench_round_ns);
        rounds[i] = (double)elapsed / (double)count;
    }
    qsort(rounds, BENCH_ROUNDS, sizeof(rounds[0]), bench_compare);
    return rounds[BENCH_ROUNDS / 2];
}

void bench_print(const char *name, double value, const char *unit)
{
    printf("%s\t%.4g\t%s\n", name, value, unit);
    (void)fflush(stdout);
}

uint8_t *bench_file(const char *path, size_t *size)
{
    struct buffer content;
    buffer_init(&content, 64 * 1024 * 1024);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fprintf(stderr, "bench: cannot open %s\n", path);
        exit(1);
    }
    uint8_t chunk[65536];
    size_t count;
    while ((count = fread(chunk, 1, sizeof(chunk), file)) > 0) {
        buffer_append(&content, chunk, count);
    }
    (void)fclose(file);
    uint8_t *out = buffer_detach(&content, size);
    if (out == NULL) {
        fprintf(stderr, "bench: %s is too large\n", path);
        exit(1);
    }
    return out;
}
