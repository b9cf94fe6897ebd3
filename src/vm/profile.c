/* profile.c: counting straight runs, and tallies. See profile.h; profile_print.c says what they
 * consist of.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/profile.h"

#include <stdlib.h>

enum { PROFILE_FIRST = 256 }; /* a power of two, as every capacity */

static size_t place_of(uint64_t key, size_t capacity)
{
    key = (key ^ key >> 29) * 0x9e3779b97f4a7c15;
    return (size_t)(key >> 20) & (capacity - 1);
}

/* ---- Tallies ---- */

static struct tally_row *find_row(const struct tally *tally, uint64_t key)
{
    size_t place = place_of(key, tally->capacity);
    while (tally->rows[place].count > 0 && tally->rows[place].key != key) {
        place = (place + 1) & (tally->capacity - 1);
    }
    return &tally->rows[place];
}

static bool tally_grow(struct tally *tally)
{
    struct tally bigger = {.used = tally->used,
                           .capacity = tally->capacity > 0 ? 2 * tally->capacity : PROFILE_FIRST};
    bigger.rows = heap_alloc_array(bigger.capacity, sizeof bigger.rows[0]);
    if (bigger.rows == NULL) {
        return false;
    }
    for (size_t i = 0; i < tally->capacity; i++) {
        if (tally->rows[i].count > 0) {
            *find_row(&bigger, tally->rows[i].key) = tally->rows[i];
        }
    }
    heap_free(tally->rows);
    *tally = bigger;
    return true;
}

void tally_add(struct tally *tally, uint64_t key, uint64_t count)
{
    if (tally->failed || (2 * tally->used >= tally->capacity && !tally_grow(tally))) {
        tally->failed = true;
        return;
    }
    struct tally_row *row = find_row(tally, key);
    tally->used += row->count == 0 ? 1 : 0;
    row->key = key;
    row->count += count;
}

uint64_t tally_get(const struct tally *tally, uint64_t key)
{
    return tally->capacity > 0 ? find_row(tally, key)->count : 0;
}

/* By count, then by key, so that the order does not depend on addresses. */
static int compare_rows(const void *a, const void *b)
{
    const struct tally_row *left = a;
    const struct tally_row *right = b;
    if (left->count != right->count) {
        return left->count < right->count ? 1 : -1;
    }
    return (left->key > right->key) - (left->key < right->key);
}

void tally_sort(struct tally *tally)
{
    if (tally->capacity > 0) {
        qsort(tally->rows, tally->capacity, sizeof tally->rows[0], compare_rows);
    }
}

void tally_release(struct tally *tally)
{
    heap_free(tally->rows);
    *tally = (struct tally){0};
}

/* ---- Blocks ---- */

static struct profile_block *find_block(const struct vm_profile *profile,
                                        const struct run_point *point)
{
    uint64_t key = (uint64_t)(uintptr_t)point->pc ^ (uint64_t)point->price << 48;
    size_t place = place_of(key, profile->capacity);
    struct profile_block *block = &profile->blocks[place];
    while (block->count > 0 && (block->pc != point->pc || block->price != point->price)) {
        place = (place + 1) & (profile->capacity - 1);
        block = &profile->blocks[place];
    }
    return block;
}

static bool profile_grow(struct vm_profile *profile)
{
    struct vm_profile bigger = {.used = profile->used, .capacity = 2 * profile->capacity};
    bigger.capacity = bigger.capacity > 0 ? bigger.capacity : PROFILE_FIRST;
    bigger.blocks = heap_alloc_array(bigger.capacity, sizeof bigger.blocks[0]);
    if (bigger.blocks == NULL) {
        return false;
    }
    for (size_t i = 0; i < profile->capacity; i++) {
        const struct profile_block *block = &profile->blocks[i];
        if (block->count > 0) {
            struct run_point point = {.pc = block->pc, .price = block->price};
            *find_block(&bigger, &point) = *block;
        }
    }
    heap_free(profile->blocks);
    *profile = bigger;
    return true;
}

static void count_block(struct vm_profile *profile, const struct run_point *point)
{
    if (profile->failed || (2 * profile->used >= profile->capacity && !profile_grow(profile))) {
        profile->failed = true;
        return;
    }
    struct profile_block *block = find_block(profile, point);
    profile->used += block->count == 0 ? 1 : 0;
    block->pc = point->pc;
    block->module = point->module;
    block->price = point->price;
    block->count++;
}

struct vm_profile *vm_profile_new(void)
{
    return HEAP_NEW(struct vm_profile);
}

void vm_profile_free(struct vm_profile *profile)
{
    if (profile != NULL) {
        heap_free(profile->blocks);
        heap_free(profile);
    }
}

enum vm_status vm_profile_slice(struct vm_profile *profile, struct vm_run *run, uint64_t gas)
{
    uint64_t begin = vm_run_gas_consumed(run);
    enum vm_status status;
    do {
        struct run_point point = run_point_of(run);
        if (point.module != NULL) {
            count_block(profile, &point);
        }
        status = run_step(run);
    } while (status == VM_SUSPENDED && vm_run_gas_consumed(run) - begin < gas);
    return status;
}
