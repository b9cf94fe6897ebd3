/* tree.c: RFC 6962 section 2.1 hashing, the compact range and the store of subtree roots (tree.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/tree.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static_assert((int)AUDIT_HASH_BYTES == (int)CRYPTO_SHA256_BYTES, "the tree is made of SHA-256");

static const char scratch_name[] = "hashes.scratch";

void audit_leaf_hash(struct bytes leaf, uint8_t out[static AUDIT_HASH_BYTES])
{
    static const uint8_t prefix[1] = {0x00};
    const struct bytes parts[] = {bytes_of(prefix, sizeof(prefix)), leaf};
    crypto_sha256_parts(parts, 2, out);
}

void audit_node_hash(const uint8_t left[static AUDIT_HASH_BYTES],
                     const uint8_t right[static AUDIT_HASH_BYTES],
                     uint8_t out[static AUDIT_HASH_BYTES])
{
    uint8_t in[1 + 2 * AUDIT_HASH_BYTES];
    in[0] = 0x01;
    memcpy(in + 1, left, AUDIT_HASH_BYTES);
    memcpy(in + 1 + AUDIT_HASH_BYTES, right, AUDIT_HASH_BYTES);
    crypto_sha256(bytes_of(in, sizeof(in)), out);
}

void audit_range_init(struct audit_range *range)
{
    memset(range, 0, sizeof(*range));
}

void audit_range_append(struct audit_range *range, const uint8_t leaf_hash[static AUDIT_HASH_BYTES],
                        struct buffer *completed)
{
    uint8_t hash[AUDIT_HASH_BYTES];
    unsigned level = 0;
    assert(range->size < UINT64_MAX);
    memcpy(hash, leaf_hash, sizeof(hash));
    for (;;) {
        if (completed != NULL) {
            buffer_append(completed, hash, sizeof(hash));
        }
        if ((range->size >> level & 1) == 0) {
            break;
        }
        audit_node_hash(range->peak[level], hash, hash);
        level++;
    }
    memcpy(range->peak[level], hash, sizeof(hash));
    range->size++;
}

void audit_range_root(const struct audit_range *range, uint8_t out[static AUDIT_HASH_BYTES])
{
    bool begun = false;
    if (range->size == 0) {
        crypto_sha256(bytes_of(NULL, 0), out);
        return;
    }
    for (unsigned level = 0; level < AUDIT_LEVELS_MAX; level++) {
        if ((range->size >> level & 1) == 0) {
            continue;
        }
        if (begun) {
            audit_node_hash(range->peak[level], out, out);
        } else {
            memcpy(out, range->peak[level], AUDIT_HASH_BYTES);
            begun = true;
        }
    }
}

uint64_t audit_tree_hash_count(uint64_t size)
{
    /* n leaves, n/2 pairs, n/4 ...: 2n less one for every peak. */
    return 2 * size - (uint64_t)__builtin_popcountll(size);
}

uint64_t audit_tree_place(unsigned level, uint64_t number)
{
    uint64_t last_leaf = ((number + 1) << level) - 1;
    return audit_tree_hash_count(last_leaf) + level;
}

bool audit_tree_open(struct audit_tree *tree, const struct audit_io *io, int directory_fd,
                     size_t batch_leaves_max, struct err *err)
{
    /* The name is needed for an instant only; a crash in that instant leaves it behind. */
    if (io->unlink(io->context, directory_fd, scratch_name) != 0 && errno != ENOENT) {
        return err_set(err, ERR_IO, "%s: unlink: %s", scratch_name, strerror(errno));
    }
    int fd = io->open(io->context, directory_fd, scratch_name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd < 0) {
        return err_set(err, ERR_IO, "%s: %s", scratch_name, strerror(errno));
    }
    if (io->unlink(io->context, directory_fd, scratch_name) != 0) {
        err_set(err, ERR_IO, "%s: unlink: %s", scratch_name, strerror(errno));
        close(fd);
        return false;
    }
    tree->io = io;
    tree->fd = fd;
    audit_range_init(&tree->range);
    audit_range_init(&tree->base);
    buffer_init(&tree->recent, (2 * batch_leaves_max + AUDIT_LEVELS_MAX) * AUDIT_HASH_BYTES);
    return true;
}

void audit_tree_close(struct audit_tree *tree)
{
    if (tree->io == NULL) {
        return;
    }
    close(tree->fd);
    buffer_release(&tree->recent);
    tree->io = NULL;
}

void audit_tree_begin(struct audit_tree *tree)
{
    tree->base = tree->range;
    tree->recent.size = 0;
}

bool audit_tree_append(struct audit_tree *tree, const uint8_t leaf_hash[static AUDIT_HASH_BYTES],
                       struct err *err)
{
    audit_range_append(&tree->range, leaf_hash, &tree->recent);
    if (tree->recent.failed) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the tree's hashes");
    }
    return true;
}

bool audit_tree_store(struct audit_tree *tree, struct err *err)
{
    uint64_t offset = audit_tree_hash_count(tree->base.size) * AUDIT_HASH_BYTES;
    if (!audit_io_write_all(tree->io, tree->fd, buffer_bytes(&tree->recent), offset, err)) {
        return err_wrap(err, "%s", scratch_name);
    }
    return true;
}

bool audit_tree_recent_node(void *context, unsigned level, uint64_t number,
                            uint8_t out[static AUDIT_HASH_BYTES], struct err *err)
{
    const struct audit_tree *tree = context;
    uint64_t place = audit_tree_place(level, number);
    uint64_t first = audit_tree_hash_count(tree->base.size);
    if (place >= first) {
        size_t offset = (size_t)(place - first) * AUDIT_HASH_BYTES;
        assert(offset + AUDIT_HASH_BYTES <= tree->recent.size);
        memcpy(out, tree->recent.ptr + offset, AUDIT_HASH_BYTES);
        return true;
    }
    /* A subtree beside the way up from a leaf of the batch is in the batch or a peak before it. */
    if ((tree->base.size >> level & 1) == 0 || number != (tree->base.size >> level) - 1) {
        return err_set(err, ERR_INTERNAL, "the subtree is not in memory");
    }
    memcpy(out, tree->base.peak[level], AUDIT_HASH_BYTES);
    return true;
}

bool audit_tree_stored_node(void *context, unsigned level, uint64_t number,
                            uint8_t out[static AUDIT_HASH_BYTES], struct err *err)
{
    const struct audit_tree *tree = context;
    uint64_t offset = audit_tree_place(level, number) * AUDIT_HASH_BYTES;
    size_t size = 0;
    if (!audit_io_read_most(tree->io, tree->fd, out, AUDIT_HASH_BYTES, offset, &size, err)) {
        return err_wrap(err, "%s", scratch_name);
    }
    if (size != AUDIT_HASH_BYTES) {
        return err_set(err, ERR_IO, "%s: shorter than the tree", scratch_name);
    }
    return true;
}

bool audit_tree_stored_leaves(const struct audit_tree *tree, uint64_t first, size_t count,
                              uint8_t *out, struct err *err)
{
    /* With the roots of the subtrees between them. */
    uint8_t row[2 * AUDIT_TREE_ROW_MAX * AUDIT_HASH_BYTES];
    size_t size = 0;
    assert(first % AUDIT_TREE_ROW_MAX == 0 && count > 0 && count <= AUDIT_TREE_ROW_MAX);
    uint64_t start = audit_tree_place(0, first);
    size_t wanted = (size_t)(audit_tree_place(0, first + count - 1) + 1 - start) * AUDIT_HASH_BYTES;
    if (!audit_io_read_most(tree->io, tree->fd, row, wanted, start * AUDIT_HASH_BYTES, &size,
                            err)) {
        return err_wrap(err, "%s", scratch_name);
    }
    if (size != wanted) {
        return err_set(err, ERR_IO, "%s: shorter than the tree", scratch_name);
    }
    for (size_t i = 0; i < count; i++) {
        size_t place = (size_t)(audit_tree_place(0, first + i) - start);
        memcpy(out + i * AUDIT_HASH_BYTES, row + place * AUDIT_HASH_BYTES, AUDIT_HASH_BYTES);
    }
    return true;
}
