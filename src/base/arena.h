/* arena.h: memory with a named end and a named bound.
 *
 * Things that die together live in one arena and are released whole. Every arena charges a budget;
 * budgets nest (guest -> tenant -> server), so no request can allocate without a bound. malloc is
 * called in arena.c only. An arena belongs to one thread at a time; budgets are shared between
 * threads (atomic).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/bytes.h"

#include <stdalign.h>
#include <stdatomic.h>

/* Who refused a charge: the budget itself, or one above it that others share. */
enum budget_refusal { BUDGET_NOT_REFUSED, BUDGET_REFUSED_HERE, BUDGET_REFUSED_ABOVE };

struct budget {
    struct budget *parent; /* charged too; may be NULL */
    _Atomic size_t used;   /* bytes */
    size_t limit;          /* bytes */
    _Atomic int refusal;   /* enum budget_refusal: of the last charge here that failed */
    bool (*give_way)(void *context, size_t size); /* budget_on_shortage; NULL: nobody */
    void *give_way_context;
    void (*released)(void *context); /* budget_on_release; NULL: nobody */
    void *released_context;
};

void budget_init(struct budget *budget, struct budget *parent, size_t limit_bytes);
/* Charges this budget and all its ancestors, or none of them. */
bool budget_charge(struct budget *budget, size_t size) MUST_CHECK;
void budget_release(struct budget *budget, size_t size);
/* Before this budget refuses `size` bytes, it asks for some back, until the charge fits or give_way
 * says that there is nothing left to give. give_way is called by any thread that charges. Set it
 * while nobody charges; NULL takes it away. */
void budget_on_shortage(struct budget *budget, bool (*give_way)(void *context, size_t size),
                        void *context);
/* Is told after something was given back, by the thread that did. Set as the former. */
void budget_on_release(struct budget *budget, void (*released)(void *context), void *context);
size_t budget_used(const struct budget *budget);
/* Why the last charge through this very budget failed that did; NOT_REFUSED: none has since the
 * start or since budget_forget_refusal. Both take NULL. */
enum budget_refusal budget_refusal(const struct budget *budget);
void budget_forget_refusal(struct budget *budget);

struct arena_block;

struct arena {
    struct budget *budget; /* NULL: unbounded (process lifetime, tests) */
    struct arena_block *head;
    uint8_t *ptr; /* free part of the head block */
    uint8_t *end;
    size_t charged; /* bytes */
};

void arena_init(struct arena *arena, struct budget *budget);
void arena_release(struct arena *arena);
void arena_release_wiped(struct arena *arena); /* overwrites every block first */
/* Overwrites and gives back about so many bytes, the newest first; true when nothing is left. In
 * between nothing may be allocated. */
bool arena_release_some(struct arena *arena, size_t bytes) MUST_CHECK;
/* Charges what the arena holds, and will, to another budget; false, and nothing has changed, if
 * that has no room. */
bool arena_charge_to(struct arena *arena, struct budget *budget) MUST_CHECK;
/* The same where the caller has charged it already: takes over what the arena holds from `*charged`
 * bytes, as far as they go. The arena charged nobody. */
void arena_take_charge(struct arena *arena, struct budget *budget, size_t *charged);
/* Zeroed memory, or NULL when the budget or the machine has no more. alignment is a power of two,
 * at most 64. size 0 is legal. */
void *arena_alloc(struct arena *arena, size_t size, size_t alignment);
/* NULL as well when count * size overflows. */
void *arena_alloc_array(struct arena *arena, size_t count, size_t size, size_t alignment);
char *arena_strdup(struct arena *arena, const char *text);
char *arena_text(struct arena *arena, struct bytes text); /* copies and adds a NUL */
struct bytes arena_copy(struct arena *arena,
                        struct bytes in); /* ptr NULL and size 0 if it failed and in.size > 0 */

#define ARENA_NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type), alignof(type)))
#define ARENA_ARRAY(arena, type, count)                                                            \
    ((type *)arena_alloc_array((arena), (count), sizeof(type), alignof(type)))

/* For single objects whose end is nobody else's. Zeroed; NULL when there is no memory. */
void *heap_alloc(size_t size);
void *heap_alloc_array(size_t count, size_t size);
void *heap_resize(void *ptr, size_t size); /* like realloc: what is new is not zeroed */
char *heap_strdup(const char *text);
void heap_free(void *ptr); /* NULL is fine; also for what jansson, getline and the like hand out */

/* Overwrites the whole block first: for what may have held a secret but is not ours to size. */
void heap_free_wiped(void *ptr);

/* Once per process, early: large blocks are mappings of their own, whatever was freed before, so
 * that they go back to the system when they are freed. */
void heap_tune(void);
/* Gives back to the system what lies free between blocks. Takes about a millisecond. */
void heap_trim(void);

#define HEAP_NEW(type) ((type *)heap_alloc(sizeof(type)))

/* Overwrites memory so that the compiler cannot leave it out. */
void memory_wipe(void *ptr, size_t size);

/* Tests only: the n-th allocation from now on (1 = the next) and all after it fail; 0 turns it off.
 * Per process. */
void heap_fail_after(size_t allocation_count);

#endif
