/* leaf.h: one entry of the log: canonical JSON (RFC 8785), one flat object.
 *
 *     {"index":7,"prev":"<64 hex>","time":"2026-11-21T10:00:00.123Z","type":"ADMIT","v":1, ...}
 *
 * Its own members sort in among the others by name, as JCS has it. Values are strings, integers,
 * booleans; RECOVERED alone has an array of integers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AUDIT_LEAF_H
#define AUDIT_LEAF_H

#include "audit/audit.h"

/* Indexes are JSON integers, so they end where JCS's integers end. */
#define AUDIT_INDEX_MAX (((uint64_t)1 << 53) - 1)

enum {
    AUDIT_LEAF_VERSION = 1,
    /* A RECOVERED leaf: 40 indexes of 16 digits with their commas beside 300 bytes of the rest. */
    AUDIT_RECOVERED_ADMITS_MAX = 40,
    AUDIT_INDEX_DIGITS_MAX = 16,
    /* A draft may be longer than a leaf, so that the limit can be told from no memory. */
    AUDIT_DRAFT_BYTES_MAX = 64 * AUDIT_LEAF_BYTES_MAX,
};

struct audit_leaf {
    uint64_t index;
    uint8_t prev[AUDIT_HASH_BYTES];
    int64_t time_ms;
    struct bytes type; /* "ADMIT"; borrowed from the leaf */
    enum audit_kind kind;
    bool kind_is_known; /* false: a kind of a newer version; it binds, but means nothing here */
    bool has_admit;
    uint64_t admit;      /* RESULT's: the index of its ADMIT */
    struct bytes admits; /* RECOVERED's, "3,5,9"; borrowed */
};

/* Appends the leaf. `fields` NULL: none. FORMAT for a member that is the log's own, has another
 * type or another name than [a-z0-9_]+; LIMIT if the leaf is longer than AUDIT_LEAF_BYTES_MAX. */
bool audit_leaf_build(enum audit_kind kind, uint64_t index,
                      const uint8_t prev[static AUDIT_HASH_BYTES], int64_t time_ms, json_t *fields,
                      struct buffer *out, struct err *err) MUST_CHECK;

/* The same in two steps, as the first needs no lock: a draft under index 0 after zeros, then its
 * place in the log. `text` is empty and takes AUDIT_DRAFT_BYTES_MAX. */
struct audit_leaf_places {
    size_t index; /* of its one digit */
    size_t prev;  /* of its first hex digit */
};
bool audit_leaf_draft(enum audit_kind kind, int64_t time_ms, json_t *fields, struct buffer *text,
                      struct audit_leaf_places *places, struct err *err) MUST_CHECK;
/* Puts index and prev in. There is room for AUDIT_INDEX_DIGITS_MAX - 1 bytes more than *size. Fails
 * with LIMIT alone, and has then changed nothing. */
bool audit_leaf_place(uint8_t *leaf, size_t *size, const struct audit_leaf_places *places,
                      uint64_t index, const uint8_t prev[static AUDIT_HASH_BYTES],
                      struct err *err) MUST_CHECK;

/* Strict about structure: one flat object, names rising, no blanks, canonical integers. What is
 * inside strings is not looked at. False with a reason in *why. */
bool audit_leaf_parse(struct bytes leaf, struct audit_leaf *out, const char **why) MUST_CHECK;

/* Takes the first index off leaf.admits; false at the end. */
bool audit_leaf_next_admit(struct bytes *admits, uint64_t *index) MUST_CHECK;

#endif
