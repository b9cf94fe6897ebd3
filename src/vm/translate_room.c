/* translate_room.c: the memory that a translation works in, kept from body to body.
 *
 * Whatever grows with a body may be large, and to copy much of it would keep a thread:
 *
 *   code, up to 64 KiB     a block of the arena, which doubles
 *   code, beyond           an address range for the most that a module may have, opened as it is
 *                          needed and charged like the arena
 *   code that is searched  only the end, and what is wanted of it: the rest is let go
 *   branches               pieces, each as large as all before it
 *   the rest               arrays that double; nesting, frames, locals and what plans the pins of
 *                          locals have small limits
 *
 * A search is charged when it takes more than a little: a program that has reached its limit, or
 * the node's, still ends as it should.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/translate.h"

#include <assert.h>

enum {
    RESERVE_FIRST = 64,
    CODE_FIRST_BYTES = 4096,
    CODE_COPIED_BYTES_MAX = 65536,
    CODE_OPEN_BYTES = 65536, /* a multiple of this at a time */
    CODE_TAIL_BYTES = 4096,  /* more than is ever taken back or fused */
    SEARCH_FREE_BYTES = 128 * 1024,
};

static void *take(struct translator *t, size_t count, size_t item_bytes)
{
    struct arena *arena = &t->arena;
    bool is_free = t->search_budget == NULL || arena->budget != NULL ||
                   arena->charged + count * item_bytes <= SEARCH_FREE_BYTES;
    return is_free || arena_charge_to(arena, t->search_budget)
               ? arena_alloc_array(arena, count, item_bytes, alignof(uint64_t))
               : NULL;
}

bool translator_grow(struct translator *t, void **array, uint32_t *capacity, uint64_t count,
                     size_t item_bytes)
{
    uint64_t wanted = *capacity == 0 ? RESERVE_FIRST : 2 * (uint64_t)*capacity;
    wanted = wanted < count ? count : wanted;
    void *items = wanted <= UINT32_MAX ? take(t, (size_t)wanted, item_bytes) : NULL;
    if (items == NULL) {
        return translator_fail(t, ERR_NO_MEMORY, "translation");
    }
    if (*capacity > 0) {
        memcpy(items, *array, *capacity * item_bytes);
    }
    *array = items;
    *capacity = (uint32_t)wanted;
    return true;
}

bool translator_grow_fixups(struct translator *t, uint64_t count)
{
    while (count > t->fixup_capacity) {
        uint32_t size = (uint32_t)1 << (FIXUP_FIRST_LOG2 + t->fixup_chunks);
        struct fixup *chunk = t->fixup_chunks < FIXUP_CHUNKS ? take(t, size, sizeof *chunk) : NULL;
        if (chunk == NULL) {
            return translator_fail(t, ERR_NO_MEMORY, "translation");
        }
        t->fixups[t->fixup_chunks++] = chunk;
        t->fixup_capacity += size;
    }
    return true;
}

/* ---- The code ---- */

/* A block of the arena, with the code from `from` on. */
static bool move_code(struct translator *t, uint64_t capacity, uint32_t from)
{
    uint8_t *code = capacity <= UINT32_MAX ? take(t, (size_t)capacity, 1) : NULL;
    if (code == NULL) {
        return translator_fail(t, ERR_NO_MEMORY, "code");
    }
    if (t->code_size > from) {
        memcpy(code, translated_at(t, from), t->code_size - from);
    }
    t->code = code;
    t->code_base = from;
    t->code_capacity = (uint32_t)capacity;
    return true;
}

/* Lets go what is neither wanted nor at the end. */
static bool slide_code(struct translator *t)
{
    uint32_t from = t->code_size > CODE_TAIL_BYTES ? t->code_size - CODE_TAIL_BYTES : 0;
    from = from < t->wanted_from ? from : t->wanted_from;
    from = from > t->code_base ? from : t->code_base;
    uint32_t kept = t->code_size - from;
    if (t->code_capacity < CODE_COPIED_BYTES_MAX || kept > t->code_capacity / 2) {
        uint64_t doubled = 2 * (uint64_t)t->code_capacity;
        return move_code(t, doubled > CODE_COPIED_BYTES_MAX ? doubled : CODE_COPIED_BYTES_MAX,
                         from);
    }
    memmove(t->code, translated_at(t, from), kept);
    t->code_base = from;
    return true;
}

/* So much more of the address range; false: the budget or the system has not got it. */
static bool open_code(struct translator *t, size_t bytes)
{
    struct budget *budget = t->arena.budget;
    size_t opened = t->code_opened + bytes;
    if (opened > t->code_mapping.reserved || (budget != NULL && !budget_charge(budget, bytes))) {
        return false;
    }
    if (!mapping_open(&t->code_mapping, opened)) {
        if (budget != NULL) {
            budget_release(budget, bytes);
        }
        return false;
    }
    t->code_opened = opened;
    return true;
}

static bool grow_mapped_code(struct translator *t)
{
    size_t most = (size_t)t->module->limits.code_bytes_max + CODE_OPEN_BYTES;
    size_t generous = (t->code_opened / 4 + 3 * CODE_OPEN_BYTES) & ~(size_t)(CODE_OPEN_BYTES - 1);
    size_t least = t->code_opened == 0 ? 2 * (size_t)CODE_COPIED_BYTES_MAX : CODE_OPEN_BYTES;
    bool is_there = t->code_mapping.base != NULL || mapping_take(&t->code_mapping, most);
    if (!is_there || (!open_code(t, generous) && !open_code(t, least))) {
        return translator_fail(t, ERR_NO_MEMORY, "code");
    }
    if (t->code != t->code_mapping.base) {
        memcpy(t->code_mapping.base, t->code, t->code_size);
        t->code = t->code_mapping.base;
    }
    t->code_capacity = (uint32_t)(t->code_opened < UINT32_MAX ? t->code_opened : UINT32_MAX);
    return true;
}

bool translator_grow_code(struct translator *t, uint32_t bytes)
{
    if (t->failed) {
        return false;
    }
    if (bytes > t->code_max - t->code_size) {
        return translator_fail(t, ERR_LIMIT, "code_bytes_max");
    }
    if (code_has_room(t)) {
        return true;
    }
    if (t->code_capacity == 0) {
        return move_code(t, CODE_FIRST_BYTES, 0);
    }
    if (t->is_search) {
        return slide_code(t);
    }
    return t->code_capacity < CODE_COPIED_BYTES_MAX
               ? move_code(t, 2 * (uint64_t)t->code_capacity, 0)
               : grow_mapped_code(t);
}

/* ---- Giving it back ---- */

static bool release_some_code(struct translator *t, size_t bytes)
{
    size_t kept = 0;
    bool is_piece = t->code_opened > bytes &&
                    mapping_shrink(&t->code_mapping, t->code_opened, t->code_opened - bytes, &kept);
    if (!is_piece) {
        mapping_give(&t->code_mapping, t->code_opened);
    }
    if (t->arena.budget != NULL) {
        budget_release(t->arena.budget, t->code_opened - kept);
    }
    t->code_opened = kept;
    return !is_piece;
}

bool translator_release_some(struct translator *t, size_t bytes)
{
    return t == NULL || ((t->code_opened == 0 || release_some_code(t, bytes)) &&
                         arena_release_some(&t->arena, bytes));
}

void translator_release(struct translator *t)
{
    (void)release_some_code(t, SIZE_MAX);
    arena_release_wiped(&t->arena); /* it holds code of somebody's program */
}
