/* arena.c: budgets, arenas and the heap: the only caller of malloc.
 *
 * An arena is a chain of blocks, newest first; allocation bumps a pointer through the newest.
 * Blocks double from 4 KiB to 1 MiB, a larger wish gets a block of its own size. They come from
 * calloc, so large ones are zero without a second pass over them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/arena.h"

#include <assert.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    ARENA_BLOCK_BYTES_MIN = 4096,
    ARENA_BLOCK_BYTES_MAX = 1024 * 1024,
    ARENA_ALIGNMENT_MAX = 64,
    HEAP_SMALL_BYTES_MAX = 1024,
    HEAP_MAPPED_BYTES_MIN = 256 * 1024,
};

/* ---- the heap ---- */

static _Atomic size_t heap_countdown; /* 0: no fault; 1: every allocation fails from now on */

void heap_fail_after(size_t allocation_count)
{
    atomic_store(&heap_countdown, allocation_count);
}

static bool heap_fault(void)
{
    size_t left = atomic_load_explicit(&heap_countdown, memory_order_relaxed);
    while (left > 1) {
        if (atomic_compare_exchange_weak(&heap_countdown, &left, left - 1)) {
            return false;
        }
    }
    return left == 1;
}

void *heap_alloc(size_t size)
{
    return heap_alloc_array(1, size);
}

void *heap_alloc_array(size_t count, size_t size)
{
    if (heap_fault()) {
        return NULL;
    }
    if (count == 0 || size == 0) {
        count = 1;
        size = 1;
    }
    /* glibc's calloc passes by the cache of free blocks that each thread has, and malloc does not:
     * it costs a small block three times as much as clearing it. */
    size_t total = 0;
    if (__builtin_mul_overflow(count, size, &total) || total > HEAP_SMALL_BYTES_MAX) {
        return calloc(count, size);
    }
    void *ptr = malloc(total);
    if (ptr != NULL) {
        __asm__ volatile("" : "+r"(ptr)); /* else the compiler makes it calloc again */
        (void)memset(ptr, 0, total);
    }
    return ptr;
}

void *heap_resize(void *ptr, size_t size)
{
    if (heap_fault()) {
        return NULL;
    }
    return realloc(ptr, size > 0 ? size : 1);
}

char *heap_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = heap_alloc(size);
    if (copy != NULL) {
        (void)memcpy(copy, text, size);
    }
    return copy;
}

void heap_free(void *ptr)
{
    free(ptr);
}

void heap_free_wiped(void *ptr)
{
    if (ptr != NULL) {
        memory_wipe(ptr, malloc_usable_size(ptr));
        free(ptr);
    }
}

/* Left alone, the threshold rises to the largest block that was ever freed, up to 32 MiB. */
void heap_tune(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, HEAP_MAPPED_BYTES_MIN);
    (void)mallopt(M_TRIM_THRESHOLD, HEAP_MAPPED_BYTES_MIN);
}

void heap_trim(void)
{
    (void)malloc_trim(0);
}

void memory_wipe(void *ptr, size_t size)
{
    if (size > 0) {
        explicit_bzero(ptr, size);
    }
}

/* ---- budgets ---- */

void budget_init(struct budget *budget, struct budget *parent, size_t limit_bytes)
{
    budget->parent = parent;
    atomic_init(&budget->used, 0);
    budget->limit = limit_bytes;
    atomic_init(&budget->refusal, BUDGET_NOT_REFUSED);
    budget_on_shortage(budget, NULL, NULL);
    budget_on_release(budget, NULL, NULL);
}

void budget_on_release(struct budget *budget, void (*released)(void *context), void *context)
{
    budget->released = released;
    budget->released_context = context;
}

void budget_on_shortage(struct budget *budget, bool (*give_way)(void *context, size_t size),
                        void *context)
{
    budget->give_way = give_way;
    budget->give_way_context = context;
}

static bool budget_try_one(struct budget *budget, size_t size)
{
    size_t used = atomic_load_explicit(&budget->used, memory_order_relaxed);
    do {
        if (size > budget->limit || used > budget->limit - size) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&budget->used, &used, used + size,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

static bool budget_charge_one(struct budget *budget, size_t size)
{
    while (!budget_try_one(budget, size)) {
        if (size > budget->limit || budget->give_way == NULL ||
            !budget->give_way(budget->give_way_context, size)) {
            return false;
        }
    }
    return true;
}

static void budget_release_one(struct budget *budget, size_t size)
{
    size_t before = atomic_fetch_sub_explicit(&budget->used, size, memory_order_relaxed);
    assert(before >= size);
    (void)before;
}

bool budget_charge(struct budget *budget, size_t size)
{
    for (struct budget *at = budget; at != NULL; at = at->parent) {
        if (!budget_charge_one(at, size)) {
            for (struct budget *undo = budget; undo != at; undo = undo->parent) {
                budget_release_one(undo, size);
            }
            atomic_store_explicit(&budget->refusal,
                                  at == budget ? BUDGET_REFUSED_HERE : BUDGET_REFUSED_ABOVE,
                                  memory_order_relaxed);
            return false;
        }
    }
    return true;
}

void budget_release(struct budget *budget, size_t size)
{
    for (struct budget *at = budget; at != NULL; at = at->parent) {
        budget_release_one(at, size);
    }
    if (budget != NULL && budget->released != NULL && size > 0) {
        budget->released(budget->released_context);
    }
}

size_t budget_used(const struct budget *budget)
{
    return atomic_load_explicit(&budget->used, memory_order_relaxed);
}

enum budget_refusal budget_refusal(const struct budget *budget)
{
    return budget == NULL
               ? BUDGET_NOT_REFUSED
               : (enum budget_refusal)atomic_load_explicit(&budget->refusal, memory_order_relaxed);
}

void budget_forget_refusal(struct budget *budget)
{
    if (budget != NULL) {
        atomic_store_explicit(&budget->refusal, BUDGET_NOT_REFUSED, memory_order_relaxed);
    }
}

/* ---- arenas ---- */

struct arena_block {
    struct arena_block *next;
    size_t size; /* of the whole block, this header included */
};

void arena_init(struct arena *arena, struct budget *budget)
{
    *arena = (struct arena){.budget = budget};
}

static void arena_free_blocks(struct arena *arena, bool wipe)
{
    struct arena_block *block = arena->head;
    while (block != NULL) {
        struct arena_block *next = block->next;
        if (wipe) {
            memory_wipe(block, block->size);
        }
        heap_free(block);
        block = next;
    }
    if (arena->budget != NULL && arena->charged > 0) {
        budget_release(arena->budget, arena->charged);
    }
    arena_init(arena, arena->budget);
}

/* Gives the pages that lie wholly in a piece of a block back to the system, which costs as much as
 * is given: freeing a large block at once would take long. Small ones are kept for others. */
static void give_pages(uint8_t *begin, size_t size)
{
    if (size < HEAP_MAPPED_BYTES_MIN) {
        return;
    }
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = ((uintptr_t)begin + page - 1) & ~(page - 1);
    uintptr_t end = ((uintptr_t)begin + size) & ~(page - 1);
    (void)madvise((void *)first, end - first, MADV_DONTNEED); /* else free does it */
}

/* The last bytes of the newest block: how many. */
static size_t arena_release_piece(struct arena *arena, size_t bytes)
{
    struct arena_block *block = arena->head;
    size_t contents = block->size - sizeof(*block);
    size_t size = contents < bytes ? contents : bytes;
    memory_wipe((uint8_t *)block + block->size - size, size);
    give_pages((uint8_t *)block + block->size - size, size);
    block->size -= size;
    if (block->size == sizeof(*block)) {
        arena->head = block->next;
        heap_free(block);
        size += sizeof(*block);
    }
    arena->charged -= size;
    if (arena->budget != NULL) {
        budget_release(arena->budget, size);
    }
    return size;
}

bool arena_release_some(struct arena *arena, size_t bytes)
{
    arena->ptr = NULL;
    arena->end = NULL;
    while (arena->head != NULL && bytes > 0) {
        size_t size = arena_release_piece(arena, bytes);
        bytes -= size < bytes ? size : bytes;
    }
    return arena->head == NULL;
}

bool arena_charge_to(struct arena *arena, struct budget *budget)
{
    if (budget != NULL && !budget_charge(budget, arena->charged)) {
        return false;
    }
    if (arena->budget != NULL) {
        budget_release(arena->budget, arena->charged);
    }
    arena->budget = budget;
    return true;
}

void arena_take_charge(struct arena *arena, struct budget *budget, size_t *charged)
{
    assert(arena->budget == NULL);
    if (arena->charged > *charged) {
        return; /* it stays nobody's */
    }
    arena->budget = budget;
    *charged -= arena->charged;
}

void arena_release(struct arena *arena)
{
    arena_free_blocks(arena, false);
}

void arena_release_wiped(struct arena *arena)
{
    arena_free_blocks(arena, true);
}

static size_t arena_block_size(const struct arena *arena, size_t wanted)
{
    size_t size = arena->head == NULL ? ARENA_BLOCK_BYTES_MIN : arena->head->size * 2;
    if (size > ARENA_BLOCK_BYTES_MAX) {
        size = ARENA_BLOCK_BYTES_MAX;
    }
    return wanted > size ? wanted : size;
}

static bool arena_grow(struct arena *arena, size_t size, size_t alignment)
{
    size_t overhead = sizeof(struct arena_block) + alignment;
    if (size > SIZE_MAX - overhead) {
        return false;
    }
    size_t block_size = arena_block_size(arena, size + overhead);
    if (arena->budget != NULL && !budget_charge(arena->budget, block_size)) {
        block_size = size + overhead; /* the generous size does not fit: the exact one may */
        if (!budget_charge(arena->budget, block_size)) {
            return false;
        }
    }
    struct arena_block *block = heap_alloc(block_size);
    if (block == NULL) {
        if (arena->budget != NULL) {
            budget_release(arena->budget, block_size);
        }
        return false;
    }
    block->size = block_size;
    block->next = arena->head;
    arena->head = block;
    arena->charged += block_size;
    arena->ptr = (uint8_t *)(block + 1);
    arena->end = (uint8_t *)block + block_size;
    return true;
}

void *arena_alloc(struct arena *arena, size_t size, size_t alignment)
{
    assert(alignment > 0 && alignment <= ARENA_ALIGNMENT_MAX);
    assert((alignment & (alignment - 1)) == 0);
    size_t padding = (size_t)(-(uintptr_t)arena->ptr & (alignment - 1));
    size_t left = (size_t)(arena->end - arena->ptr);
    if (arena->head == NULL || left < padding || left - padding < size) {
        if (!arena_grow(arena, size, alignment)) {
            return NULL;
        }
        padding = (size_t)(-(uintptr_t)arena->ptr & (alignment - 1));
    }
    uint8_t *at = arena->ptr + padding;
    arena->ptr = at + size;
    assert(arena->ptr <= arena->end);
    return at;
}

void *arena_alloc_array(struct arena *arena, size_t count, size_t size, size_t alignment)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) {
        return NULL;
    }
    return arena_alloc(arena, total, alignment);
}

char *arena_text(struct arena *arena, struct bytes text)
{
    char *copy = text.size < SIZE_MAX ? arena_alloc(arena, text.size + 1, 1) : NULL;
    if (copy != NULL && text.size > 0) {
        (void)memcpy(copy, text.ptr, text.size);
    }
    return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return arena_text(arena, bytes_of_string(text));
}

struct bytes arena_copy(struct arena *arena, struct bytes in)
{
    uint8_t *copy = in.size > 0 ? arena_alloc(arena, in.size, 1) : NULL;
    if (copy == NULL) {
        return (struct bytes){NULL, 0};
    }
    (void)memcpy(copy, in.ptr, in.size);
    return (struct bytes){copy, in.size};
}
