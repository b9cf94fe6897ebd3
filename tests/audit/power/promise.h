/* promise.h: what a server has told the world about its log, taken from the bytes that it sent.
 *
 * Every checkpoint that left it, bare or inside a proof inside a JSON answer, promises a tree of
 * that size with that root. Every commitment of an answer promises a leaf hash at an index.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef POWER_PROMISE_H
#define POWER_PROMISE_H

#include "disk.h"

#include "audit/audit.h"

struct promise {
    size_t record;  /* the SEND with its last byte */
    bool is_leaf;   /* else the root of a tree of `place` entries */
    uint64_t place; /* index or size */
    uint8_t hash[AUDIT_HASH_BYTES];
};

struct promises {
    struct promise *rows; /* in the order of their records, each once */
    size_t count;
};

/* Finds the promises of a recording of the log of that origin. */
void promises_find(struct promises *promises, const struct disk *disk, const char *origin);
void promises_release(struct promises *promises);

#endif
