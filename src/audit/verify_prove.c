/* verify_prove.c: entries and inclusion proofs out of a source, without an open log.
 *
 * Subtrees inside of a bundle are hashed from its entries (or the level-0 tile); those above come
 * from tiles, or from the roots of all full bundles, which verifying has left.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/verify.h"

#include "base/arena.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

enum { TILE_LEVEL_BITS = 8, TILES_KEPT = 4 };

static bool block_new(struct audit_block **out, struct err *err)
{
    struct audit_block *block = HEAP_NEW(struct audit_block);
    if (block != NULL) {
        buffer_init(&block->bundle.entries, AUDIT_TILE_BYTES_MAX);
        block->bundle.pruned_hashes =
            heap_alloc_array((size_t)AUDIT_TILE_WIDTH, (size_t)AUDIT_HASH_BYTES);
    }
    if (block == NULL || block->bundle.pruned_hashes == NULL) {
        heap_free(block);
        return err_set(err, ERR_NO_MEMORY, "no memory for entries");
    }
    *out = block;
    return true;
}

static void block_free(struct audit_block *block)
{
    if (block != NULL) {
        buffer_release(&block->bundle.entries);
        heap_free(block->bundle.pruned_hashes);
        heap_free(block);
    }
}

/* Reads and checks the bundle that begins with `first`, up to `end`. */
static bool block_read(const struct audit_source *source, struct audit_block *block, uint64_t first,
                       uint64_t end, struct crypto_sha256 *hash, struct err *err)
{
    block->first = first;
    block->count = end - first < AUDIT_TILE_WIDTH ? (size_t)(end - first) : AUDIT_TILE_WIDTH;
    block->bundle.entries.size = 0;
    block->bundle.pruned_count = 0;
    block->bundle.problem = NULL;
    if (!source->bundle(source->context, first, block->count, &block->bundle, err)) {
        return false;
    }
    audit_block_check(block, hash);
    if (block->found == block->count) {
        return true;
    }
    uint64_t bad = first + block->found;
    return block->why != NULL
               ? err_set(err, ERR_TAMPERED, "entry %" PRIu64 ": %s", bad, block->why)
               : err_set(err, ERR_NOT_FOUND, "the log ends before entry %" PRIu64, bad);
}

bool audit_source_each(const struct audit_source *source, uint64_t first, uint64_t end,
                       bool (*visit)(void *context, uint64_t index, struct bytes leaf),
                       void *context, struct err *err)
{
    struct audit_block *block = NULL;
    struct crypto_sha256 *hash = crypto_sha256_new();
    bool ok = false;
    if (hash == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for entries");
    }
    if (!block_new(&block, err)) {
        goto out;
    }
    bool more = true;
    for (uint64_t at = first - first % AUDIT_TILE_WIDTH; more && at < end; at += block->count) {
        if (!block_read(source, block, at, end, hash, err)) {
            goto out;
        }
        for (size_t i = block->bundle.pruned_count; more && i < block->found; i++) {
            more = at + i < first || visit(context, at + i, block->bytes[i]);
        }
    }
    ok = true;
out:
    block_free(block);
    crypto_sha256_free(hash);
    return ok;
}

/* ---- proofs ---- */

struct kept_tile {
    unsigned level;
    uint64_t number;
    struct buffer hashes; /* empty: nothing is kept */
};

struct prover {
    const struct audit_source *source;
    struct bytes roots;
    uint64_t size;
    struct audit_block *block; /* the bundle of the entry that is proved, or of the last ones */
    struct crypto_sha256 *hash;
    struct kept_tile kept[TILES_KEPT];
    size_t next_kept;
};

/* The root over `count` hashes, a power of two. */
static void fold(const uint8_t *hashes, size_t count, uint8_t out[static AUDIT_HASH_BYTES])
{
    struct audit_range range;
    audit_range_init(&range);
    for (size_t i = 0; i < count; i++) {
        audit_range_append(&range, hashes + i * AUDIT_HASH_BYTES, NULL);
    }
    audit_range_root(&range, out);
}

/* A tile with its width in the tree, from the source or from what was read before. */
static bool tile_hashes(struct prover *prover, unsigned level, uint64_t number, struct bytes *out,
                        struct err *err)
{
    for (size_t i = 0; i < TILES_KEPT; i++) {
        const struct kept_tile *kept = &prover->kept[i];
        if (kept->hashes.size > 0 && kept->level == level && kept->number == number) {
            *out = buffer_bytes(&kept->hashes);
            return true;
        }
    }
    struct kept_tile *kept = &prover->kept[prover->next_kept++ % TILES_KEPT];
    struct audit_tile tile = {
        .level = level, .number = number, .width = audit_tile_width(prover->size, level, number)};
    kept->hashes.size = 0;
    kept->level = level;
    kept->number = number;
    if (!prover->source->tile(prover->source->context, &tile, &kept->hashes, err)) {
        return false;
    }
    *out = buffer_bytes(&kept->hashes);
    return true;
}

static bool bundle_hashes(struct prover *prover, uint64_t number, struct bytes *out,
                          struct err *err)
{
    uint64_t first = number * AUDIT_TILE_WIDTH;
    if ((prover->block->first != first || prover->block->found == 0) &&
        !block_read(prover->source, prover->block, first, prover->size, prover->hash, err)) {
        return false;
    }
    *out = bytes_of(prover->block->hashes, prover->block->found * AUDIT_HASH_BYTES);
    return true;
}

static bool prover_node(void *context, unsigned level, uint64_t number,
                        uint8_t out[static AUDIT_HASH_BYTES], struct err *err)
{
    struct prover *prover = context;
    struct bytes hashes = prover->roots;
    unsigned base = TILE_LEVEL_BITS;
    uint64_t skipped = 0; /* of the hashes of level `base` */
    if (prover->source->tile != NULL || level < TILE_LEVEL_BITS) {
        base = level / TILE_LEVEL_BITS * TILE_LEVEL_BITS;
        uint64_t tile = (number << (level - base)) / AUDIT_TILE_WIDTH;
        bool ok = prover->source->tile != NULL
                      ? tile_hashes(prover, base / TILE_LEVEL_BITS, tile, &hashes, err)
                      : bundle_hashes(prover, tile, &hashes, err);
        if (!ok) {
            return false;
        }
        skipped = tile * AUDIT_TILE_WIDTH;
    }
    size_t count = (size_t)1 << (level - base);
    uint64_t first = (number << (level - base)) - skipped;
    if ((first + count) * AUDIT_HASH_BYTES > hashes.size) {
        return err_set(err, ERR_NOT_FOUND, "a part of the tree is not there");
    }
    fold(hashes.ptr + first * AUDIT_HASH_BYTES, count, out);
    return true;
}

static bool prove(struct prover *prover, const struct audit_checkpoint *checkpoint,
                  struct bytes note, uint64_t index, struct buffer *leaf, struct buffer *tlog_proof,
                  struct err *err)
{
    uint8_t proof[AUDIT_PROOF_HASHES_MAX * AUDIT_HASH_BYTES];
    uint8_t leaf_hash[AUDIT_HASH_BYTES];
    size_t hash_count = 0;
    struct bytes hashes;
    size_t at = (size_t)(index % AUDIT_TILE_WIDTH);
    if (!bundle_hashes(prover, index / AUDIT_TILE_WIDTH, &hashes, err)) {
        return false;
    }
    memcpy(leaf_hash, prover->block->hashes[at], sizeof(leaf_hash));
    if (at >= prover->block->bundle.pruned_count) {
        buffer_append_bytes(leaf, prover->block->bytes[at]);
    }
    if (!audit_inclusion_prove(index, checkpoint->size, prover_node, prover, proof, &hash_count,
                               err)) {
        return false;
    }
    if (!audit_inclusion_verify(index, checkpoint->size, leaf_hash, proof, hash_count,
                                checkpoint->root)) {
        return err_set(err, ERR_TAMPERED,
                       "entry %" PRIu64 " is not in the tree that the checkpoint signs", index);
    }
    audit_tlog_proof_format(index, proof, hash_count, note, tlog_proof);
    return (!leaf->failed && !tlog_proof->failed) ||
           err_set(err, ERR_NO_MEMORY, "no memory for a proof");
}

bool audit_source_prove(const struct audit_source *source, struct bytes roots, struct bytes note,
                        uint64_t index, struct buffer *leaf, struct buffer *tlog_proof,
                        struct err *err)
{
    struct audit_checkpoint checkpoint;
    struct prover prover = {.source = source, .roots = roots};
    bool ok = false;
    for (size_t i = 0; i < TILES_KEPT; i++) {
        buffer_init(&prover.kept[i].hashes, (size_t)AUDIT_TILE_WIDTH * AUDIT_HASH_BYTES);
    }
    if (audit_checkpoint_verify(note, "", &checkpoint) == AUDIT_TAMPERED) {
        return err_set(err, ERR_TAMPERED, "the checkpoint is malformed");
    }
    if (index >= checkpoint.size) {
        return err_set(err, ERR_NOT_FOUND,
                       "there is no entry %" PRIu64 ": the checkpoint signs %" PRIu64, index,
                       checkpoint.size);
    }
    prover.size = checkpoint.size;
    prover.hash = crypto_sha256_new();
    if (prover.hash == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for a proof");
    }
    ok = block_new(&prover.block, err) &&
         prove(&prover, &checkpoint, note, index, leaf, tlog_proof, err);
    block_free(prover.block);
    crypto_sha256_free(prover.hash);
    for (size_t i = 0; i < TILES_KEPT; i++) {
        buffer_release(&prover.kept[i].hashes);
    }
    return ok;
}
