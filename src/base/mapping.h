/* mapping.h: address ranges for linear memories and stacks, reserved whole, opened as they grow,
 * kept for the next one in a pool of the process.
 *
 * What mapping_take gives reads as zero wherever it is opened, whoever had it before: a mapping is
 * cleared when it is given back, before it enters the pool. Any thread may take and give.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_MAPPING_H
#define BASE_MAPPING_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum {
    /* Mappings in the pool; an older one makes way. Each is address space and nothing more, but
     * for what the next two allow. */
    MAPPING_POOL_COUNT_MAX = 128,
    /* How much from its beginning a mapping that is used again and again may keep in memory. */
    MAPPING_WARM_BYTES_MAX = 256 * 1024,
    /* The same of all mappings in the pool. The rest goes back to the system at once. */
    MAPPING_POOL_BYTES_MAX = 16 * 1024 * 1024,
};

struct mapping {
    uint8_t *base;   /* NULL: none */
    size_t reserved; /* at least what was asked for */
    size_t open;     /* of them, accessible; what was opened for its last user included */
    size_t warm;     /* of them, kept in memory by its last user */
    bool is_reused;  /* somebody had it before */
};

/* Reserves `size` bytes or more, none of them open. False: no address range. */
bool mapping_take(struct mapping *mapping, size_t size) MUST_CHECK;
/* Makes the first `size` bytes accessible, at most what was reserved. False: no memory. */
bool mapping_open(struct mapping *mapping, size_t size) MUST_CHECK;
/* Gives what lies from `keep` (rounded up) to `used` back to the system: the first steps of giving
 * a large mapping. From then on only *kept bytes are used. False: the system does not take it. */
bool mapping_shrink(struct mapping *mapping, size_t used, size_t keep, size_t *kept) MUST_CHECK;
/* used: the bytes that were opened for this user; nothing behind them was written. */
void mapping_give(struct mapping *mapping, size_t used);

/* What the pool holds: mappings, and bytes that they keep in memory. */
struct mapping_pool_facts {
    size_t count, bytes;
};
struct mapping_pool_facts mapping_pool_facts(void);
/* Gives all of it back to the system. */
void mapping_pool_trim(void);

#endif
