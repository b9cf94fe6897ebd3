/* mapping.c: address ranges and their pool.
 *
 * Asking the system for a range, opening it, touching its first pages and giving it back costs
 * some ten microseconds, most of it page faults; clearing what a small program can have touched
 * costs less than one. So a mapping goes into a pool, by the power of two that its size is.
 *
 *   given back the first time   madvise: its pages go to the system, its addresses stay
 *   from then on                its beginning is overwritten with zeros and stays in memory, up to
 *                               MAPPING_WARM_BYTES_MAX; madvise takes the rest
 *
 * One that is not used twice therefore costs no memory, and after a burst the pool keeps
 * MAPPING_POOL_BYTES_MAX at most. Under AddressSanitizer what is in the pool, and what is open
 * but was not asked for by the present user, is poisoned.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/mapping.h"

#include "base/list.h"

#include <assert.h>
#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <string.h>
#include <sys/mman.h>

enum {
    SIZE_CLASSES = 64,
    SIZE_CLASS_MIN = 16,
    OPEN_STEP_BYTES = 1 << SIZE_CLASS_MIN, /* a multiple of every system's page */
};
static_assert(MAPPING_WARM_BYTES_MAX % OPEN_STEP_BYTES == 0, "madvise begins at a page");

struct pooled {
    struct mapping mapping;
    struct list by_class, by_age; /* newest first; oldest first. Unused: by_age in `unused` */
};

static struct {
    pthread_mutex_t lock;
    bool is_set_up;
    struct pooled slots[MAPPING_POOL_COUNT_MAX];
    struct list classes[SIZE_CLASSES];
    struct list ages;
    struct list unused;
    struct mapping_pool_facts facts;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void pool_lock(void)
{
    pthread_mutex_lock(&pool.lock);
    if (pool.is_set_up) {
        return;
    }
    pool.is_set_up = true;
    list_init(&pool.ages);
    list_init(&pool.unused);
    for (size_t i = 0; i < SIZE_CLASSES; i++) {
        list_init(&pool.classes[i]);
    }
    for (size_t i = 0; i < MAPPING_POOL_COUNT_MAX; i++) {
        list_push_back(&pool.unused, &pool.slots[i].by_age);
    }
}

static void pool_unlock(void)
{
    pthread_mutex_unlock(&pool.lock);
}

/* The power of two that holds `size`. */
static unsigned size_class(size_t size)
{
    unsigned class = SIZE_CLASS_MIN;
    while (class < SIZE_CLASSES - 1 && (size_t)1 << class < size) {
        class ++;
    }
    return class;
}

static void unmap(struct mapping *mapping)
{
    if (mapping->base == NULL) {
        return;
    }
    ASAN_UNPOISON_MEMORY_REGION(mapping->base, mapping->open);
    int result = munmap(mapping->base, mapping->reserved);
    assert(result == 0);
    (void)result;
    *mapping = (struct mapping){0};
}

/* Takes it out of the pool; its slot is free again. */
static struct mapping pool_remove(struct pooled *slot)
{
    struct mapping mapping = slot->mapping;
    list_remove(&slot->by_class);
    list_remove(&slot->by_age);
    list_push_back(&pool.unused, &slot->by_age);
    pool.facts.count--;
    pool.facts.bytes -= mapping.warm;
    return mapping;
}

static bool pool_take(unsigned class, struct mapping *out)
{
    pool_lock();
    bool is_there = !list_is_empty(&pool.classes[class]);
    if (is_there) {
        *out = pool_remove(LIST_ENTRY(pool.classes[class].next, struct pooled, by_class));
    }
    pool_unlock();
    return is_there;
}

/* Puts it in, its warm bytes being counted. *evicted has to go for it: the oldest, if there are too
 * many. */
static void pool_give(const struct mapping *mapping, struct mapping *evicted)
{
    pool_lock();
    if (list_is_empty(&pool.unused)) {
        *evicted = pool_remove(LIST_ENTRY(pool.ages.next, struct pooled, by_age));
    }
    struct pooled *slot = LIST_ENTRY(list_pop_front(&pool.unused), struct pooled, by_age);
    slot->mapping = *mapping;
    list_push_front(&pool.classes[size_class(mapping->reserved)], &slot->by_class);
    list_push_back(&pool.ages, &slot->by_age);
    pool.facts.count++;
    pool_unlock();
}

struct mapping_pool_facts mapping_pool_facts(void)
{
    pool_lock();
    struct mapping_pool_facts facts = pool.facts;
    pool_unlock();
    return facts;
}

void mapping_pool_trim(void)
{
    bool is_empty;
    do {
        struct mapping mapping = {0};
        pool_lock();
        is_empty = list_is_empty(&pool.ages);
        if (!is_empty) {
            mapping = pool_remove(LIST_ENTRY(pool.ages.next, struct pooled, by_age));
        }
        pool_unlock();
        unmap(&mapping);
    } while (!is_empty);
}

bool mapping_take(struct mapping *mapping, size_t size)
{
    unsigned class = size_class(size);
    if ((size_t)1 << class < size) {
        return false;
    }
    if (pool_take(class, mapping)) {
        mapping->is_reused = true;
        return true;
    }
    size_t reserved = (size_t)1 << class;
    void *base =
        mmap(NULL, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        return false;
    }
    *mapping = (struct mapping){.base = base, .reserved = reserved};
    return true;
}

bool mapping_open(struct mapping *mapping, size_t size)
{
    assert(size <= mapping->reserved);
    if (size > mapping->open) {
        size_t open = (size + OPEN_STEP_BYTES - 1) & ~(size_t)(OPEN_STEP_BYTES - 1);
        if (mprotect(mapping->base + mapping->open, open - mapping->open, PROT_READ | PROT_WRITE) !=
            0) {
            return false;
        }
        ASAN_POISON_MEMORY_REGION(mapping->base + mapping->open, open - mapping->open);
        mapping->open = open;
    }
    ASAN_UNPOISON_MEMORY_REGION(mapping->base, size);
    return true;
}

/* How much of the mapping stays in memory, counted from here on. */
static size_t pool_allow(const struct mapping *mapping, size_t used)
{
    size_t warm = used < MAPPING_WARM_BYTES_MAX ? used : MAPPING_WARM_BYTES_MAX;
    warm = warm > mapping->warm ? warm : mapping->warm;
    pool_lock();
    bool is_allowed =
        mapping->is_reused && pool.facts.bytes + warm <= (size_t)MAPPING_POOL_BYTES_MAX;
    warm = is_allowed ? warm : 0;
    pool.facts.bytes += warm;
    pool_unlock();
    return warm;
}

static void pool_forget(size_t warm)
{
    pool_lock();
    pool.facts.bytes -= warm;
    pool_unlock();
}

/* Zero from here on. False: the system would not take the pages back. */
static bool clear(const struct mapping *mapping, size_t used, size_t warm)
{
    size_t touched = used > mapping->warm ? used : mapping->warm;
    if (warm > 0) {
        memset(mapping->base, 0, used < warm ? used : warm);
    }
    return touched <= warm || madvise(mapping->base + warm, touched - warm, MADV_DONTNEED) == 0;
}

bool mapping_shrink(struct mapping *mapping, size_t used, size_t keep, size_t *kept)
{
    assert(keep <= used && used <= mapping->open);
    size_t begin = (keep + OPEN_STEP_BYTES - 1) & ~(size_t)(OPEN_STEP_BYTES - 1);
    if (begin < mapping->warm || begin >= used ||
        madvise(mapping->base + begin, used - begin, MADV_DONTNEED) != 0) {
        return false;
    }
    *kept = begin;
    return true;
}

void mapping_give(struct mapping *mapping, size_t used)
{
    struct mapping evicted = {0};
    assert(used <= mapping->open);
    if (mapping->base == NULL) {
        return;
    }
    size_t warm = pool_allow(mapping, used);
    if (clear(mapping, used, warm)) {
        mapping->warm = warm;
        ASAN_POISON_MEMORY_REGION(mapping->base, mapping->open);
        pool_give(mapping, &evicted);
        *mapping = (struct mapping){0};
    } else {
        pool_forget(warm);
    }
    unmap(&evicted);
    unmap(mapping);
}
