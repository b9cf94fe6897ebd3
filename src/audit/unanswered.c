/* unanswered.c: the set of ADMITs that wait for their RESULT (unanswered.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/unanswered.h"

#include "base/arena.h"

#include <inttypes.h>
#include <string.h>

enum { WORD_BITS = 64 };

static bool is_set(const struct audit_unanswered *set, uint64_t index)
{
    uint64_t word = index / WORD_BITS;
    return word < set->word_count && (set->words[word] >> (index % WORD_BITS) & 1) != 0;
}

/* False: it is not known. */
static bool clear(struct audit_unanswered *set, uint64_t index)
{
    if (index < set->pruned) {
        return false;
    }
    set->words[index / WORD_BITS] &= ~((uint64_t)1 << (index % WORD_BITS));
    set->count--;
    return true;
}

static bool insert(struct audit_unanswered *set, uint64_t index, struct err *err)
{
    size_t word = (size_t)(index / WORD_BITS);
    if (word >= set->word_count) {
        size_t count = 2 * word + 64;
        uint64_t *grown = heap_resize(set->words, count * sizeof(*grown));
        if (grown == NULL) {
            return err_set(err, ERR_NO_MEMORY, "no memory for the unanswered requests");
        }
        memset(grown + set->word_count, 0, (count - set->word_count) * sizeof(*grown));
        set->words = grown;
        set->word_count = count;
    }
    set->words[word] |= (uint64_t)1 << (index % WORD_BITS);
    set->count++;
    return true;
}

static bool check_open(const struct audit_unanswered *set, const struct audit_leaf *leaf,
                       uint64_t index, struct err *err)
{
    if (index >= set->pruned && !is_set(set, index)) {
        return err_set(err, ERR_TAMPERED,
                       "entry %" PRIu64 " answers entry %" PRIu64
                       ", which is not an ADMIT that waits for an answer",
                       leaf->index, index);
    }
    return true;
}

static bool apply_recovered(struct audit_unanswered *set, const struct audit_leaf *leaf,
                            struct err *err)
{
    uint64_t index = 0;
    uint64_t before = 0;
    bool first = true;
    for (struct bytes left = leaf->admits; audit_leaf_next_admit(&left, &index); first = false) {
        /* Rising, so that none is named twice. */
        if (!first && index <= before) {
            return err_set(err, ERR_TAMPERED, "entry %" PRIu64 " names ADMITs out of order",
                           leaf->index);
        }
        if (!check_open(set, leaf, index, err)) {
            return false;
        }
        before = index;
    }
    for (struct bytes left = leaf->admits; audit_leaf_next_admit(&left, &index);) {
        set->recovered += clear(set, index);
    }
    return true;
}

bool audit_unanswered_apply(struct audit_unanswered *set, const struct audit_leaf *leaf,
                            struct err *err)
{
    if (!leaf->kind_is_known) {
        return true;
    }
    switch (leaf->kind) {
    case AUDIT_ADMIT:
        return insert(set, leaf->index, err);
    case AUDIT_RESULT:
        if (!check_open(set, leaf, leaf->admit, err)) {
            return false;
        }
        (void)clear(set, leaf->admit);
        return true;
    case AUDIT_RECOVERED:
        return apply_recovered(set, leaf, err);
    case AUDIT_INIT:
    case AUDIT_EPOCH:
    case AUDIT_SEGMENT_CLOSE:
    case AUDIT_KEY_ROTATE:
    case AUDIT_PRUNE:
    case AUDIT_AUTH_FAILURES:
        return true;
    }
    return true;
}

bool audit_unanswered_next(const struct audit_unanswered *set, uint64_t from, uint64_t *index)
{
    for (uint64_t word = from / WORD_BITS; word < set->word_count; word++) {
        uint64_t bits = set->words[word];
        if (word == from / WORD_BITS) {
            bits &= ~(uint64_t)0 << (from % WORD_BITS);
        }
        if (bits != 0) {
            *index = word * WORD_BITS + (uint64_t)__builtin_ctzll(bits);
            return true;
        }
    }
    return false;
}

void audit_unanswered_release(struct audit_unanswered *set)
{
    heap_free(set->words);
    *set = (struct audit_unanswered){0};
}
