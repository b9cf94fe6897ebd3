/* verify_block.c: a bundle of entries taken apart and hashed, and the two threads that do it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/verify.h"

#include "base/arena.h"
#include "base/process.h"

#include <assert.h>
#include <string.h>

static_assert((int)AUDIT_TILE_WIDTH == 256, "a bundle is a full subtree of level 8");

/* ---- one block ---- */

static void hash_leaf(struct crypto_sha256 *hash, struct bytes leaf,
                      uint8_t out[static AUDIT_HASH_BYTES])
{
    static const uint8_t prefix[1] = {0x00};
    crypto_sha256_begin(hash);
    crypto_sha256_add(hash, bytes_of(prefix, sizeof(prefix)));
    crypto_sha256_add(hash, leaf);
    crypto_sha256_get(hash, out);
}

static void hash_nodes(struct crypto_sha256 *hash, const uint8_t *children,
                       uint8_t out[static AUDIT_HASH_BYTES])
{
    uint8_t node[1 + 2 * AUDIT_HASH_BYTES];
    node[0] = 0x01;
    memcpy(node + 1, children, 2 * AUDIT_HASH_BYTES); /* `out` may be the first of them */
    crypto_sha256_begin(hash);
    crypto_sha256_add(hash, bytes_of(node, sizeof(node)));
    crypto_sha256_get(hash, out);
}

/* The root of the full subtree over all the block's leaves. */
static void hash_root(struct audit_block *block, struct crypto_sha256 *hash)
{
    uint8_t row[AUDIT_TILE_WIDTH][AUDIT_HASH_BYTES];
    memcpy(row, block->hashes, sizeof(row));
    for (size_t width = AUDIT_TILE_WIDTH; width > 1; width /= 2) {
        for (size_t i = 0; i < width / 2; i++) {
            hash_nodes(hash, row[2 * i], row[i]);
        }
    }
    memcpy(block->root, row[0], AUDIT_HASH_BYTES);
}

static const char *take_entry(struct audit_block *block, struct reader *reader,
                              struct crypto_sha256 *hash)
{
    size_t at = block->found;
    struct reader ahead = *reader;
    uint16_t size = 0;
    const char *why = NULL;
    if (!reader_u16be(&ahead, &size)) {
        return block->bundle.problem;
    }
    if (size > AUDIT_LEAF_BYTES_MAX) {
        return "its length is over the limit";
    }
    if (!reader_take(&ahead, size, &block->bytes[at])) {
        return block->bundle.problem;
    }
    if (!audit_leaf_parse(block->bytes[at], &block->leaves[at], &why)) {
        return why;
    }
    if (block->leaves[at].index != block->first + at) {
        return "it carries another index";
    }
    hash_leaf(hash, block->bytes[at], block->hashes[at]);
    block->found++;
    *reader = ahead;
    return NULL;
}

void audit_block_check(struct audit_block *block, struct crypto_sha256 *hash)
{
    struct reader reader = reader_of(buffer_bytes(&block->bundle.entries));
    size_t pruned = block->bundle.pruned_count;
    assert(pruned <= block->count && block->count <= AUDIT_TILE_WIDTH);
    if (pruned > 0) {
        memcpy(block->hashes, block->bundle.pruned_hashes, pruned * AUDIT_HASH_BYTES);
    }
    block->found = pruned;
    block->why = NULL;
    size_t before;
    do {
        before = block->found;
        if (before < block->count) {
            block->why = take_entry(block, &reader, hash);
        }
    } while (block->found > before);
    if (block->why == NULL && block->found > pruned && block->found == block->count &&
        reader_left(&reader) > 0) {
        block->found--;
        block->why = "more bytes follow it in its bundle";
    }
    block->has_root = block->found == AUDIT_TILE_WIDTH;
    if (block->has_root) {
        hash_root(block, hash);
    }
}

/* ---- the pool ---- */

static struct audit_block *pool_block(struct audit_pool *pool, uint64_t number)
{
    return &pool->blocks[number % AUDIT_POOL_BLOCKS];
}

/* Checks the next block that nobody checks yet. The mutex is held, and given up meanwhile. */
static void check_claimed(struct audit_pool *pool, struct crypto_sha256 *hash)
{
    struct audit_block *block = pool_block(pool, pool->claimed++);
    pthread_mutex_unlock(&pool->mutex);
    audit_block_check(block, hash);
    pthread_mutex_lock(&pool->mutex);
    block->is_checked = true;
    pthread_cond_broadcast(&pool->wake);
}

static void *help(void *context)
{
    struct audit_pool *pool = context;
    process_thread_name("verifier");
    pthread_mutex_lock(&pool->mutex);
    while (!pool->closing) {
        if (pool->claimed < pool->filled) {
            check_claimed(pool, pool->helper_hash);
        } else {
            pthread_cond_wait(&pool->wake, &pool->mutex);
        }
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

bool audit_pool_open(struct audit_pool *pool, struct err *err)
{
    *pool =
        (struct audit_pool){.mutex = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
    pool->blocks = heap_alloc_array(AUDIT_POOL_BLOCKS, sizeof(*pool->blocks));
    pool->pruned_hashes =
        heap_alloc_array(AUDIT_POOL_BLOCKS, (size_t)AUDIT_TILE_WIDTH * AUDIT_HASH_BYTES);
    pool->hash = crypto_sha256_new();
    pool->helper_hash = crypto_sha256_new();
    if (pool->blocks == NULL || pool->pruned_hashes == NULL || pool->hash == NULL ||
        pool->helper_hash == NULL) {
        audit_pool_close(pool);
        return err_set(err, ERR_NO_MEMORY, "no memory for verifying the log");
    }
    for (size_t i = 0; i < AUDIT_POOL_BLOCKS; i++) {
        struct audit_bundle *bundle = &pool->blocks[i].bundle;
        buffer_init(&bundle->entries, AUDIT_TILE_BYTES_MAX);
        bundle->pruned_hashes =
            pool->pruned_hashes + i * (size_t)AUDIT_TILE_WIDTH * AUDIT_HASH_BYTES;
    }
    /* Without a second thread the caller checks every block itself. */
    pool->helper_runs = pthread_create(&pool->helper, NULL, help, pool) == 0;
    return true;
}

void audit_pool_close(struct audit_pool *pool)
{
    if (pool->helper_runs) {
        pthread_mutex_lock(&pool->mutex);
        pool->closing = true;
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->mutex);
        pthread_join(pool->helper, NULL);
    }
    for (size_t i = 0; pool->blocks != NULL && i < AUDIT_POOL_BLOCKS; i++) {
        buffer_release(&pool->blocks[i].bundle.entries);
    }
    crypto_sha256_free(pool->hash);
    crypto_sha256_free(pool->helper_hash);
    heap_free(pool->pruned_hashes);
    heap_free(pool->blocks);
    pthread_mutex_destroy(&pool->mutex);
    pthread_cond_destroy(&pool->wake);
    *pool = (struct audit_pool){0};
}

struct audit_block *audit_pool_take(struct audit_pool *pool)
{
    if (pool->filled - pool->released == AUDIT_POOL_BLOCKS) {
        return NULL;
    }
    struct audit_block *block = pool_block(pool, pool->filled);
    block->bundle.entries.size = 0;
    block->bundle.pruned_count = 0;
    block->bundle.problem = NULL;
    block->is_checked = false;
    return block;
}

void audit_pool_put(struct audit_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    pool->filled++;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
}

struct audit_block *audit_pool_next(struct audit_pool *pool)
{
    if (pool->returned == pool->filled) {
        return NULL;
    }
    struct audit_block *block = pool_block(pool, pool->returned);
    pthread_mutex_lock(&pool->mutex);
    while (!block->is_checked) {
        if (pool->claimed < pool->filled) {
            check_claimed(pool, pool->hash);
        } else {
            pthread_cond_wait(&pool->wake, &pool->mutex);
        }
    }
    pthread_mutex_unlock(&pool->mutex);
    pool->returned++;
    return block;
}

void audit_pool_release(struct audit_pool *pool)
{
    assert(pool->released < pool->returned);
    pool->released++;
}
