/* verify.c: `audit verify`: is this the log that its key signed?
 *
 * The checkpoint is read first and the entries after it, so a log that is being written verifies,
 * too. Every entry is read once, in order, bundle by bundle; two threads parse and hash
 * (verify_block.c), one of them puts it together here, with memory for two compact ranges, eight
 * bundles and one bit per entry.
 *
 * That something is wrong is decided by the signed root alone. Which entry is wrong is told by the
 * links: entry i's hash is computed from its bytes, and claimed by the `prev` of entry i+1. Where
 * they first differ, either entry i was changed, or the `prev` of entry i+1 was. If the tree of the
 * claimed hashes has the signed root, it was entry i. If the hash of entry i+1 in turn is confirmed
 * by entry i+2, too. Else it was entry i+1. When all links hold and the root does not, the last
 * signed entry was changed, or everything from some entry on was made anew.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/verify.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

enum { PROGRESS_BUNDLES = 40, BUNDLE_LEVEL = 8 };

/* ---- the tree ---- */

static void compare_since(struct audit_verifier *verifier)
{
    uint8_t root[AUDIT_HASH_BYTES];
    if (verifier->has_since && verifier->computed.size == verifier->since.size) {
        audit_range_root(&verifier->computed, root);
        verifier->since_is_seen = true;
        verifier->since_differs = memcmp(root, verifier->since.root, sizeof(root)) != 0;
    }
}

static void break_rule(struct audit_verifier *verifier, uint64_t index, const char *why)
{
    if (verifier->rule_index == UINT64_MAX) {
        verifier->rule_index = index;
        verifier->rule_why = why;
    }
}

/* A full subtree of BUNDLE_LEVEL behind full ones. */
static void append_root(struct audit_range *range, const uint8_t root[static AUDIT_HASH_BYTES])
{
    uint8_t hash[AUDIT_HASH_BYTES];
    unsigned level = BUNDLE_LEVEL;
    assert(range->size % AUDIT_TILE_WIDTH == 0);
    memcpy(hash, root, sizeof(hash));
    for (; (range->size >> level & 1) != 0; level++) {
        audit_node_hash(range->peak[level], hash, hash);
    }
    memcpy(range->peak[level], hash, sizeof(hash));
    range->size += AUDIT_TILE_WIDTH;
}

/* Does something have to be compared inside of the block? */
static bool block_needs_care(const struct audit_verifier *verifier, const struct audit_block *block)
{
    bool since_inside = verifier->has_since && verifier->since.size > block->first &&
                        verifier->since.size < block->first + block->found;
    for (size_t i = block->bundle.pruned_count; i < block->found; i++) {
        if (audit_leaf_is_control(&block->leaves[i])) {
            return true;
        }
    }
    return since_inside || !block->has_root;
}

/* The block enters the tree. */
static void count_block(struct audit_verifier *verifier, const struct audit_block *block)
{
    uint8_t said[AUDIT_HASH_BYTES];
    uint8_t root[AUDIT_HASH_BYTES];
    if (block->has_root && verifier->expectation->roots != NULL) {
        buffer_append(verifier->expectation->roots, block->root, AUDIT_HASH_BYTES);
    }
    if (!block_needs_care(verifier, block)) {
        append_root(&verifier->computed, block->root);
        compare_since(verifier);
        return;
    }
    for (size_t i = 0; i < block->found; i++) {
        if (i >= block->bundle.pruned_count &&
            audit_control_closes(&block->leaves[i], block->bytes[i], said)) {
            audit_range_root(&verifier->computed, root);
            if (memcmp(said, root, sizeof(root)) != 0) {
                break_rule(verifier, block->first + i, "it closes a segment with another root");
            }
        }
        audit_range_append(&verifier->computed, block->hashes[i], NULL);
        compare_since(verifier);
    }
}

static void count_held(struct audit_verifier *verifier)
{
    if (verifier->held != NULL) {
        count_block(verifier, verifier->held);
        audit_pool_release(&verifier->pool);
        verifier->held = NULL;
    }
}

/* ---- links ---- */

static void append_hashes(struct audit_range *range, const struct audit_block *block, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        audit_range_append(range, block->hashes[i], NULL);
    }
}

/* The tree of claimed hashes: as computed up to the entry before the one that is claimed. */
static void begin_claims(struct audit_verifier *verifier, const struct audit_block *block,
                         size_t at)
{
    verifier->claimed = verifier->computed;
    if (verifier->held != NULL) {
        append_hashes(&verifier->claimed, verifier->held, verifier->held->found - (at == 0));
    }
    append_hashes(&verifier->claimed, block, at == 0 ? 0 : at - 1);
}

/* Entry `at` of the block claims a hash for the one before it. */
static void check_link(struct audit_verifier *verifier, const struct audit_block *block, size_t at)
{
    const uint8_t *claim = block->leaves[at].prev;
    uint64_t index = block->first + at;
    bool holds = memcmp(claim, verifier->last_hash, AUDIT_HASH_BYTES) == 0;
    if (verifier->broken_index == UINT64_MAX) {
        if (holds) {
            return;
        }
        begin_claims(verifier, block, at);
        verifier->broken_index = index;
    } else if (index == verifier->broken_index + 1) {
        verifier->broken_confirmed = holds;
    }
    audit_range_append(&verifier->claimed, claim, NULL);
}

/* Segments are closed by an entry, and by nothing else. */
static void check_segment(struct audit_verifier *verifier, const struct audit_leaf *leaf)
{
    const struct audit_source *source = verifier->source;
    if (source->segment != NULL && leaf->index > verifier->report->pruned_entries) {
        bool begins = source->segment(source->context, leaf->index);
        if (begins != verifier->last_closes) {
            break_rule(verifier, leaf->index,
                       begins ? "a segment begins with it, but none was closed before it"
                              : "the entry before it closed the segment that it lies in");
        }
    }
}

static bool take_entry(struct audit_verifier *verifier, const struct audit_block *block, size_t at,
                       struct err *err)
{
    static const uint8_t zeros[AUDIT_HASH_BYTES];
    const struct audit_leaf *leaf = &block->leaves[at];
    struct err why;
    if (leaf->index > 0) {
        check_link(verifier, block, at);
    } else if (memcmp(leaf->prev, zeros, sizeof(zeros)) != 0) {
        break_rule(verifier, 0, "it names an entry before the first");
    }
    check_segment(verifier, leaf);
    verifier->last_closes = false;
    if (audit_leaf_is_control(leaf)) {
        uint64_t segments = verifier->control.segment_count;
        const char *breach = audit_control_apply(&verifier->control, leaf, block->bytes[at]);
        if (breach != NULL) {
            break_rule(verifier, leaf->index, breach);
        }
        verifier->last_closes = verifier->control.segment_count > segments;
    }
    verifier->unanswered.pruned = verifier->report->pruned_entries;
    if (!audit_unanswered_apply(&verifier->unanswered, leaf, &why)) {
        if (why.code != ERR_TAMPERED) {
            *err = why;
            return false;
        }
        /* Its fault only if the root holds: an ADMIT that was changed leaves its RESULT astray. */
        break_rule(verifier, leaf->index, "it answers what was not asked");
    }
    if (verifier->expectation->visit != NULL) {
        verifier->expectation->visit(verifier->expectation->context, leaf->index, block->bytes[at]);
    }
    verifier->report->last_time_ms = leaf->time_ms;
    return true;
}

/* Names the first bad entry when a link is broken. */
static void conclude_broken_link(struct audit_verifier *verifier, bool claims_hold)
{
    bool before = claims_hold || verifier->broken_confirmed;
    uint64_t bad = before ? verifier->broken_index - 1 : verifier->broken_index;
    audit_verifier_conclude(verifier, AUDIT_TAMPERED, bad,
                            "entry %" PRIu64 " is not what was committed", bad);
}

/* The block ends before it should. */
static void conclude_missing(struct audit_verifier *verifier, const struct audit_block *block)
{
    uint64_t index = block->first + block->found;
    if (!audit_verifier_knows_signer(verifier)) {
        return;
    }
    if (block->why == NULL) {
        audit_verifier_conclude(verifier, AUDIT_TRUNCATED, index,
                                "the checkpoint signs %" PRIu64
                                " entries, but the log ends in entry %" PRIu64,
                                verifier->checkpoint.size, index);
    } else if (verifier->broken_index != UINT64_MAX) {
        conclude_broken_link(verifier, false);
    } else {
        audit_verifier_conclude(verifier, AUDIT_TAMPERED, index, "entry %" PRIu64 ": %s", index,
                                block->why);
    }
}

/* ---- all entries ---- */

static bool take_block(struct audit_verifier *verifier, struct audit_block *block, struct err *err)
{
    for (size_t i = 0; i < block->found; i++) {
        if (i < block->bundle.pruned_count) {
            verifier->report->pruned_entries++;
        } else if (!take_entry(verifier, block, i, err)) {
            return false;
        }
        memcpy(verifier->last_hash, block->hashes[i], AUDIT_HASH_BYTES);
        verifier->next_index++;
    }
    count_held(verifier);
    verifier->held = block;
    return true;
}

/* Fills blocks as long as there are empty ones. */
static bool fill_blocks(struct audit_verifier *verifier, struct err *err)
{
    uint64_t size = verifier->checkpoint.size;
    struct audit_block *block;
    while (verifier->next_wanted < size && (block = audit_pool_take(&verifier->pool)) != NULL) {
        uint64_t left = size - verifier->next_wanted;
        block->first = verifier->next_wanted;
        block->count = left < AUDIT_TILE_WIDTH ? (size_t)left : AUDIT_TILE_WIDTH;
        if (!verifier->source->bundle(verifier->source->context, block->first, block->count,
                                      &block->bundle, err)) {
            return false;
        }
        audit_pool_put(&verifier->pool);
        verifier->next_wanted += block->count;
    }
    return true;
}

static void tell_progress(const struct audit_verifier *verifier)
{
    const struct audit_expectation *expectation = verifier->expectation;
    uint64_t size = verifier->checkpoint.size;
    bool due = verifier->next_index % (PROGRESS_BUNDLES * AUDIT_TILE_WIDTH) == 0 ||
               verifier->next_index == size;
    if (expectation->progress != NULL && due) {
        expectation->progress(expectation->context, verifier->next_index, size);
    }
}

static bool take_signed(struct audit_verifier *verifier, bool *go_on, struct err *err)
{
    *go_on = false;
    while (verifier->next_index < verifier->checkpoint.size) {
        if (!fill_blocks(verifier, err)) {
            return false;
        }
        struct audit_block *block = audit_pool_next(&verifier->pool);
        assert(block != NULL);
        if (!take_block(verifier, block, err)) {
            return false;
        }
        if (block->found < block->count) {
            conclude_missing(verifier, block);
            return true;
        }
        tell_progress(verifier);
    }
    count_held(verifier);
    *go_on = true;
    return true;
}

/* Every byte is as it was signed; what is wrong now, the key itself signed against the rules. */
static bool compare_rules(struct audit_verifier *verifier)
{
    uint64_t pruned = verifier->report->pruned_entries;
    uint64_t claimed = verifier->control.prune_claimed;
    uint64_t rest = claimed % AUDIT_TILE_WIDTH;
    if (verifier->source->segment == NULL && rest > 0) {
        claimed += AUDIT_TILE_WIDTH - rest; /* a bundle is there as a whole or not at all */
    }
    bool is_broken = verifier->broken_index != UINT64_MAX;
    bool breaks_rule = verifier->rule_index != UINT64_MAX;
    if (!is_broken && !breaks_rule && pruned <= claimed) {
        return audit_verifier_compare_signers(verifier);
    }
    if (!audit_verifier_knows_signer(verifier)) {
        return false;
    }
    if (is_broken) {
        audit_verifier_conclude(verifier, AUDIT_TAMPERED, verifier->broken_index,
                                "entry %" PRIu64
                                " was signed, but does not name the entry before it",
                                verifier->broken_index);
    } else if (breaks_rule) {
        audit_verifier_conclude(verifier, AUDIT_TAMPERED, verifier->rule_index,
                                "entry %" PRIu64 " was signed, but %s", verifier->rule_index,
                                verifier->rule_why);
    } else {
        audit_verifier_conclude(verifier, AUDIT_TRUNCATED, claimed,
                                "entries %" PRIu64 " to %" PRIu64
                                " are not there, and no PRUNE entry says why",
                                claimed, pruned - 1);
    }
    return false;
}

static bool compare_root(struct audit_verifier *verifier)
{
    uint8_t root[AUDIT_HASH_BYTES];
    uint64_t size = verifier->checkpoint.size;
    audit_range_root(&verifier->computed, root);
    if (memcmp(root, verifier->checkpoint.root, sizeof(root)) == 0) {
        return compare_rules(verifier);
    }
    if (!audit_verifier_knows_signer(verifier)) {
        return false;
    }
    if (verifier->broken_index == UINT64_MAX && verifier->report->pruned_entries > 0) {
        audit_verifier_conclude(verifier, AUDIT_TAMPERED, UINT64_MAX,
                                "the links hold but the root is not the signed one: a hash of a "
                                "pruned entry was changed, or the last entries were made anew");
        return false;
    }
    if (verifier->broken_index == UINT64_MAX) {
        audit_verifier_conclude(verifier, AUDIT_TAMPERED, size == 0 ? UINT64_MAX : size - 1,
                                "the links hold but the root is not the signed one: entry %" PRIu64
                                " was changed, or a run of entries that ends with it was made anew",
                                size == 0 ? 0 : size - 1);
        return false;
    }
    audit_range_append(&verifier->claimed, verifier->last_hash, NULL); /* nothing claims the last */
    audit_range_root(&verifier->claimed, root);
    conclude_broken_link(verifier, memcmp(root, verifier->checkpoint.root, sizeof(root)) == 0);
    return false;
}

/* What was written and not signed yet; what is torn after it is nobody's yet. */
static bool count_pending(struct audit_verifier *verifier, struct err *err)
{
    const struct audit_source *source = verifier->source;
    bool more = source->has_more;
    while (more) {
        struct audit_block *block = audit_pool_take(&verifier->pool);
        assert(block != NULL);
        block->first = verifier->next_index;
        block->count = AUDIT_TILE_WIDTH - (size_t)(block->first % AUDIT_TILE_WIDTH);
        if (!source->bundle(source->context, block->first, block->count, &block->bundle, err)) {
            return false;
        }
        audit_block_check(block, verifier->pool.hash);
        more = block->found == block->count;
        for (size_t i = 0; i < block->found; i++) {
            if (memcmp(block->leaves[i].prev, verifier->last_hash, AUDIT_HASH_BYTES) != 0) {
                return true;
            }
            memcpy(verifier->last_hash, block->hashes[i], AUDIT_HASH_BYTES);
            audit_range_append(&verifier->computed, block->hashes[i], NULL);
            compare_since(verifier);
            verifier->next_index++;
            verifier->report->pending_entries++;
        }
    }
    return true;
}

/* The log is as signed; is it the one that the auditor means, and new enough? */
static void conclude_whole(struct audit_verifier *verifier)
{
    const struct audit_checkpoint *since = &verifier->since;
    struct audit_checkpoint copy = *since;
    uint64_t size = verifier->checkpoint.size;
    bool ahead = verifier->has_since && since->size > size;
    if (verifier->has_since &&
        audit_verifier_open(verifier, verifier->expectation->since, &copy) != AUDIT_OK) {
        audit_verifier_doubt_since(verifier);
    } else if (ahead && (!verifier->since_is_seen || verifier->since_differs)) {
        audit_verifier_conclude(verifier, AUDIT_ROLLED_BACK, UINT64_MAX,
                                "the log has %" PRIu64 " entries, but it had %" PRIu64 " before",
                                size, since->size);
    } else if (verifier->since_differs) {
        audit_verifier_conclude(verifier, AUDIT_FORKED, UINT64_MAX,
                                "the first %" PRIu64
                                " entries are not those of the older checkpoint: the key "
                                "signed two histories",
                                since->size);
    } else if (audit_verifier_meets_policy(verifier)) {
        audit_verifier_conclude(
            verifier, AUDIT_OK, UINT64_MAX, "%" PRIu64 " entries verify%s%s", size,
            ahead ? ", and those behind them that the kept checkpoint signs" : "",
            !verifier->trusts_source       ? ""
            : verifier->trusted_count == 0 ? ", with the key that the log itself names"
                                           : ", with the key that the directory itself holds");
    }
}

static void keep_counts(struct audit_verifier *verifier)
{
    struct audit_report *report = verifier->report;
    size_t keys = verifier->control.chain.count;
    report->unanswered_count = verifier->unanswered.count;
    report->recovered_count = verifier->unanswered.recovered;
    report->segment_count = verifier->control.segment_count;
    report->rotation_count = keys == 0 ? 0 : keys - 1;
}

static bool verify_entries(struct audit_verifier *verifier, struct err *err)
{
    bool go_on = false;
    if (!take_signed(verifier, &go_on, err)) {
        return false;
    }
    if (verifier->control.failed) {
        return err_set(err, ERR_NO_MEMORY, "no memory for verifying the log");
    }
    if (!go_on || !compare_root(verifier)) {
        return true;
    }
    keep_counts(verifier);
    if (!count_pending(verifier, err)) {
        return false;
    }
    conclude_whole(verifier);
    return true;
}

bool audit_verify(const struct audit_source *source, const struct audit_expectation *expectation,
                  struct audit_report *report, struct err *err)
{
    struct audit_report found = {.bad_index = UINT64_MAX};
    struct audit_verifier verifier = {
        .source = source,
        .expectation = expectation,
        .broken_index = UINT64_MAX,
        .rule_index = UINT64_MAX,
        .report = &found,
    };
    bool go_on = false;
    bool ok = false;
    buffer_init(&verifier.note, AUDIT_CHECKPOINT_BYTES_MAX);
    audit_range_init(&verifier.computed);
    if (!audit_chain_init(&verifier.control.chain, err) || !audit_pool_open(&verifier.pool, err)) {
        goto out;
    }
    ok = audit_verifier_load_keys(&verifier, &go_on, err) &&
         (!go_on || audit_verifier_load_checkpoint(&verifier, &go_on, err)) &&
         (!go_on || !audit_verifier_load_since(&verifier) || verify_entries(&verifier, err));
    audit_pool_close(&verifier.pool);
out:
    audit_chain_release(&verifier.control.chain);
    audit_unanswered_release(&verifier.unanswered);
    buffer_release(&verifier.note);
    if (ok) {
        *report = found;
    }
    return ok;
}

bool audit_verify_directory(const char *directory, const char *vkey, struct bytes since,
                            void (*progress)(void *context, uint64_t done, uint64_t total),
                            void *context, struct audit_report *report, struct err *err)
{
    struct audit_directory *opened = NULL;
    struct audit_source source;
    const struct audit_expectation expectation = {
        .vkeys = &vkey,
        .vkey_count = vkey != NULL,
        .since = since,
        .progress = progress,
        .context = context,
    };
    if (!audit_directory_open(directory, &opened, &source, err)) {
        return false;
    }
    bool ok = audit_verify(&source, &expectation, report, err);
    audit_directory_close(opened);
    return ok || err_wrap(err, "%s", directory);
}
