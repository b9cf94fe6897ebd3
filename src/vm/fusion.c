/* fusion.c: which handler does the work of two; see fusions.def.
 *
 * The rows are put into a hash table at the program's start, so that the translator can ask for
 * every instruction it emits. Most handlers begin no fusion or end none: two sets of bits say so
 * before the table, which is large, is looked at.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/code.h"

#if VM_PINS

#include <assert.h>

struct fusion {
    uint16_t first, second, fused;
};

static const struct fusion fusions[] = {
#include "vm/family_begin.h"
#undef FUSED
#define FUSED(first, layout, kinds, effect, on, bytes, second, body, with)                         \
    {HANDLER_##first, HANDLER_##second, HANDLER_##first##_THEN_##second},
#include "vm/fusions.def"

#include "vm/family_end.h"
};

enum { PLACES = 16384, FUSIONS = sizeof fusions / sizeof fusions[0] };
static_assert(FUSIONS * 2 < PLACES, "half of the table stays empty");

static uint16_t places[PLACES]; /* numbers of rows, counted from 1; 0: free */
static uint64_t firsts[HANDLER_COUNT / 64 + 1], seconds[HANDLER_COUNT / 64 + 1];

static uint32_t first_place(enum handler first, enum handler second)
{
    return (((uint32_t)first * 40503u) ^ ((uint32_t)second * 2654435761u >> 7)) % PLACES;
}

static bool has(const uint64_t *set, enum handler handler)
{
    return (set[handler / 64] >> (handler % 64) & 1) != 0;
}

/* Before main: afterwards any thread may read. */
static __attribute__((constructor)) void fill(void)
{
    for (uint32_t i = 0; i < FUSIONS; i++) {
        firsts[fusions[i].first / 64] |= (uint64_t)1 << (fusions[i].first % 64);
        seconds[fusions[i].second / 64] |= (uint64_t)1 << (fusions[i].second % 64);
        uint32_t place = first_place(fusions[i].first, fusions[i].second);
        while (places[place] != 0) {
            place = (place + 1) % PLACES;
        }
        places[place] = (uint16_t)(i + 1);
    }
}

enum handler handler_fused(enum handler first, enum handler second)
{
    if (!has(firsts, first) || !has(seconds, second)) {
        return HANDLER_COUNT;
    }
    for (uint32_t place = first_place(first, second); places[place] != 0;
         place = (place + 1) % PLACES) {
        const struct fusion *fusion = &fusions[places[place] - 1];
        if (fusion->first == first && fusion->second == second) {
            return fusion->fused;
        }
    }
    return HANDLER_COUNT;
}

/* They are the last ones of handlers.def. */
bool handler_is_fused(enum handler handler)
{
    return handler >= fusions[0].fused;
}

#else

enum handler handler_fused(enum handler first, enum handler second)
{
    (void)first;
    (void)second;
    return HANDLER_COUNT;
}

bool handler_is_fused(enum handler handler)
{
    (void)handler;
    return false;
}

#endif
