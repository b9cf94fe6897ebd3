/* memory.c: linear memories (core spec 4.2.8, 4.4.7).
 *
 * A memory reserves the address range of the largest size it may ever have; growing opens more of
 * it, so its base never moves. Its size is charged to the budget. Ranges come from a pool:
 * base/mapping.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/instance.h"

#include <assert.h>
#include <string.h>

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Opens the pages up to `pages` of the reservation. */
static bool memory_open(struct vm_memory *memory, uint64_t pages)
{
    size_t size = (size_t)pages * VM_PAGE_BYTES;
    if (size > 0 && !mapping_open(&memory->mapping, size)) {
        return false;
    }
    memory->store->memory_pages += (size - memory->bytes) / VM_PAGE_BYTES;
    memory->bytes = size;
    return true;
}

static bool memory_reserve(struct vm_memory *memory, uint64_t pages, struct err *err)
{
    size_t size = (size_t)pages * VM_PAGE_BYTES;
    if (size == 0) {
        return true;
    }
    if (!mapping_take(&memory->mapping, size)) {
        return err_set(err, ERR_NO_MEMORY, "no address range for a memory of %zu bytes", size);
    }
    memory->base = memory->mapping.base;
    return true;
}

/* The pages that its addresses reach. */
static uint64_t memory_reach(bool is_64)
{
    return is_64 ? MODULE_MEMORY64_PAGES_MAX : MODULE_MEMORY_PAGES_MAX;
}

/* Neither has this memory more pages than one may have, nor all together. */
static bool is_within_limits(const struct vm_store *store, uint64_t pages, uint64_t added,
                             struct err *err)
{
    const struct vm_limits *limits = &store->limits;
    if (pages > limits->memory_pages_max) {
        return err_set(err, ERR_MEMORY_EXCEEDED, "memory_pages_max: %llu is over the limit of %u",
                       (unsigned long long)pages, limits->memory_pages_max);
    }
    uint64_t total = store->memory_pages + added;
    return total <= limits->memory_pages_total_max ||
           err_set(err, ERR_MEMORY_EXCEEDED, "memory_pages_total_max: %llu is over the limit of %u",
                   (unsigned long long)total, limits->memory_pages_total_max);
}

struct vm_memory *memory_new(struct vm_store *store, const struct module_memory *type,
                             struct err *err)
{
    uint64_t pages_max = store->limits.memory_pages_max;
    uint64_t min = type->min;
    if (!is_within_limits(store, min, min, err)) {
        return NULL;
    }
    struct vm_memory *memory = ARENA_NEW(&store->arena, struct vm_memory);
    if (memory == NULL) {
        err_set(err, ERR_NO_MEMORY, "no memory for a memory");
        return NULL;
    }
    memory->store = store;
    memory->is_64 = type->is_64;
    memory->max_pages = type->max;
    if (!store_charge(store, (size_t)min * VM_PAGE_BYTES)) {
        store_refusal_err(store, "a memory, in pages,", min, err);
        return NULL;
    }
    uint64_t reach = smaller(smaller(type->max, pages_max), memory_reach(type->is_64));
    if (!memory_reserve(memory, reach, err)) {
        store_release(store, (size_t)min * VM_PAGE_BYTES);
        return NULL;
    }
    if (!memory_open(memory, min)) {
        err_set(err, ERR_NO_MEMORY, "no memory for %llu pages", (unsigned long long)min);
        store_release(store, (size_t)min * VM_PAGE_BYTES);
        memory_release(memory);
        return NULL;
    }
    list_push_back(&store->memories, &memory->link);
    return memory;
}

void memory_release(struct vm_memory *memory)
{
    mapping_give(&memory->mapping, memory->bytes);
    store_release(memory->store, memory->bytes);
}

size_t memory_release_some(struct vm_memory *memory, size_t bytes)
{
    size_t kept;
    if (memory->bytes <= bytes ||
        !mapping_shrink(&memory->mapping, memory->bytes, memory->bytes - bytes, &kept)) {
        return 0;
    }
    size_t released = memory->bytes - kept;
    store_release(memory->store, released);
    memory->bytes = kept;
    return released;
}

int64_t memory_grow(struct vm_memory *memory, uint64_t delta_pages, enum vm_trap *trap)
{
    struct vm_store *store = memory->store;
    uint64_t old_pages = memory->bytes / VM_PAGE_BYTES;
    uint64_t max_pages = smaller(memory->max_pages, memory_reach(memory->is_64));
    if (delta_pages > max_pages - old_pages) {
        return -1;
    }
    uint64_t pages = old_pages + delta_pages;
    size_t added = (size_t)delta_pages * VM_PAGE_BYTES;
    struct err ignored;
    bool traps = store->limits.memory_limit_traps;
    if (!is_within_limits(store, pages, delta_pages, &ignored)) {
        *trap = traps ? VM_TRAP_MEMORY_BUDGET : VM_TRAP_NONE;
        return -1;
    }
    if (!store_charge(store, added)) {
        *trap = store_refusal_trap(store);
        return -1;
    }
    if (!memory_open(memory, pages)) {
        store_release(store, added);
        *trap = traps ? VM_TRAP_NO_MEMORY : VM_TRAP_NONE;
        return -1;
    }
    return (int64_t)old_pages;
}

enum vm_trap memory_init(struct vm_memory *memory, struct bytes data, uint64_t to, uint64_t from,
                         uint64_t size, struct bulk *bulk)
{
    if (!range_is_inside(from, size, data.size) || !range_is_inside(to, size, memory->bytes)) {
        return VM_TRAP_OUT_OF_BOUNDS_MEMORY;
    }
    uint64_t done = bulk->done;
    uint64_t count = bulk_take(bulk, size, 1);
    if (count > 0) {
        memcpy(memory->base + to + done, data.ptr + from + done, count);
    }
    return VM_TRAP_NONE;
}

enum vm_trap memory_copy(struct vm_memory *to_memory, struct vm_memory *from_memory, uint64_t to,
                         uint64_t from, uint64_t size, struct bulk *bulk)
{
    if (!range_is_inside(from, size, from_memory->bytes) ||
        !range_is_inside(to, size, to_memory->bytes)) {
        return VM_TRAP_OUT_OF_BOUNDS_MEMORY;
    }
    uint64_t done = bulk->done;
    uint64_t count = bulk_take(bulk, size, 1);
    if (count > 0) {
        uint64_t begin = bulk_copy_begin(to, from, size, done, count);
        memmove(to_memory->base + to + begin, from_memory->base + from + begin, count);
    }
    return VM_TRAP_NONE;
}

enum vm_trap memory_fill(struct vm_memory *memory, uint64_t to, uint8_t value, uint64_t size,
                         struct bulk *bulk)
{
    if (!range_is_inside(to, size, memory->bytes)) {
        return VM_TRAP_OUT_OF_BOUNDS_MEMORY;
    }
    uint64_t done = bulk->done;
    uint64_t count = bulk_take(bulk, size, 1);
    if (count > 0) {
        memset(memory->base + to + done, value, count);
    }
    return VM_TRAP_NONE;
}

bool vm_memory_range(struct vm_memory *memory, uint64_t offset, uint64_t size, uint8_t **out)
{
    if (!range_is_inside(offset, size, memory->bytes)) {
        return false;
    }
    *out = memory->base == NULL ? NULL : memory->base + offset;
    return true;
}

uint64_t vm_memory_bytes(const struct vm_memory *memory)
{
    return memory->bytes;
}

bool vm_memory_is_64(const struct vm_memory *memory)
{
    return memory->is_64;
}
