/* load_stats.c: histograms that keep a percentile's first two digits however far the values reach
 * (after G. Tene's HdrHistogram), and the generator of arrivals (G. Steele et al., SplitMix64).
 *
 * Values below 128 have a bucket each. Above, the leading bit says which doubling a value is in and
 * the six bits behind it which of the doubling's 64 steps.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/load.h"

#include <stdlib.h>

enum { STEP_BITS = 6, STEPS = 1 << STEP_BITS };

static size_t bucket_of(uint64_t value)
{
    if (value < 2 * STEPS) {
        return (size_t)value;
    }
    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - STEP_BITS;
    size_t bucket = (size_t)shift * STEPS + (size_t)(value >> shift);
    return bucket < LOAD_HISTOGRAM_BUCKETS ? bucket : LOAD_HISTOGRAM_BUCKETS - 1;
}

static uint64_t bucket_end(size_t bucket)
{
    if (bucket < 2 * STEPS) {
        return bucket;
    }
    unsigned shift = (unsigned)(bucket / STEPS) - 1;
    return ((uint64_t)(bucket - (size_t)shift * STEPS + 1) << shift) - 1;
}

void load_histogram_add(struct load_histogram *histogram, uint64_t value)
{
    histogram->buckets[bucket_of(value)]++;
    histogram->min = histogram->count == 0 || value < histogram->min ? value : histogram->min;
    histogram->max = value > histogram->max ? value : histogram->max;
    histogram->sum += (double)value;
    histogram->count++;
}

uint64_t load_histogram_at(const struct load_histogram *histogram, double part)
{
    double wanted = part * (double)histogram->count;
    uint64_t seen = 0;
    for (size_t i = 0; i < LOAD_HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen > 0 && (double)seen >= wanted) {
            uint64_t end = bucket_end(i);
            return end < histogram->max ? end : histogram->max;
        }
    }
    return 0;
}

double load_histogram_mean(const struct load_histogram *histogram)
{
    return histogram->count == 0 ? 0 : histogram->sum / (double)histogram->count;
}

void load_histogram_take(struct load_histogram *histogram, const struct load_histogram *earlier)
{
    for (size_t i = 0; i < LOAD_HISTOGRAM_BUCKETS; i++) {
        histogram->buckets[i] -= earlier->buckets[i];
    }
    histogram->count -= earlier->count;
    histogram->sum -= earlier->sum;
}

static int compare_numbers(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

double load_median(double *values, size_t count)
{
    qsort(values, count, sizeof values[0], compare_numbers);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

uint64_t load_random_next(struct load_random *random)
{
    uint64_t mixed = random->state += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

double load_random_unit(struct load_random *random)
{
    return ((double)(load_random_next(random) >> 11) + 1) / 9007199254740992.0;
}
