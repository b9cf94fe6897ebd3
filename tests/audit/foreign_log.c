/* foreign_log.c: see foreign_log.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/foreign_log.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static void leaves_make(struct foreign_log *log, size_t first, const char *what)
{
    char leaf[64];
    for (size_t i = first; i < FOREIGN_LEAVES_MAX; i++) {
        int size = snprintf(leaf, sizeof(leaf), "%s %zu", what, i);
        audit_leaf_hash(bytes_of(leaf, (size_t)size), log->leaves[i]);
    }
}

void foreign_log_init(struct foreign_log *log, const char *origin)
{
    uint8_t public_key[128];
    log->signer = crypto_signer_generate(CRYPTO_ED25519);
    (void)crypto_signer_public(log->signer, public_key);
    audit_key_init(&log->key, origin, public_key);
    audit_key_format(&log->key, log->vkey);
    leaves_make(log, 0, "leaf");
}

void foreign_log_release(struct foreign_log *log)
{
    crypto_signer_free(log->signer);
}

void foreign_log_fork(struct foreign_log *log, size_t at)
{
    leaves_make(log, at, "other");
}

static size_t split_of(size_t size)
{
    size_t split = 1;
    while (2 * split < size) {
        split *= 2;
    }
    return split;
}

static void root_of(const uint8_t (*leaves)[AUDIT_HASH_BYTES], size_t size, uint8_t *out)
{
    uint8_t left[AUDIT_HASH_BYTES];
    uint8_t right[AUDIT_HASH_BYTES];
    if (size == 0) {
        crypto_sha256(bytes_of(NULL, 0), out);
    } else if (size == 1) {
        memcpy(out, leaves[0], AUDIT_HASH_BYTES);
    } else {
        root_of(leaves, split_of(size), left);
        root_of(leaves + split_of(size), size - split_of(size), right);
        audit_node_hash(left, right, out);
    }
}

/* SUBPROOF(m, D[n], b) */
static void subproof(const uint8_t (*leaves)[AUDIT_HASH_BYTES], size_t m, size_t n, bool is_whole,
                     struct buffer *out)
{
    uint8_t root[AUDIT_HASH_BYTES];
    if (m == n) {
        if (!is_whole) {
            root_of(leaves, m, root);
            buffer_append(out, root, sizeof(root));
        }
        return;
    }
    size_t k = split_of(n);
    if (m <= k) {
        subproof(leaves, m, k, is_whole, out);
        root_of(leaves + k, n - k, root);
    } else {
        subproof(leaves + k, m - k, n - k, false, out);
        root_of(leaves, k, root);
    }
    buffer_append(out, root, sizeof(root));
}

void foreign_log_prove(const struct foreign_log *log, size_t old_size, size_t size,
                       struct buffer *out)
{
    if (old_size > 0 && old_size <= size) {
        subproof(log->leaves, old_size, size, true, out);
    }
}

void foreign_log_checkpoint(const struct foreign_log *log, size_t size, struct buffer *out)
{
    struct audit_checkpoint checkpoint = {.size = size};
    struct buffer text;
    struct err err;
    buffer_init(&text, AUDIT_CHECKPOINT_BYTES_MAX);
    memcpy(checkpoint.origin, log->key.name, strlen(log->key.name) + 1);
    root_of(log->leaves, size, checkpoint.root);
    audit_checkpoint_format(&checkpoint, &text);
    cr_assert(audit_note_sign(buffer_bytes(&text), &log->key, log->signer, out, &err));
    buffer_release(&text);
}

void foreign_log_request(const struct foreign_log *log, size_t old_size, size_t size,
                         struct buffer *out)
{
    struct buffer proof;
    struct buffer note;
    buffer_init(&proof, 64 * AUDIT_HASH_BYTES);
    buffer_init(&note, AUDIT_CHECKPOINT_BYTES_MAX);
    foreign_log_prove(log, old_size, size, &proof);
    foreign_log_checkpoint(log, size, &note);
    cr_assert(
        audit_add_checkpoint_format(old_size, buffer_bytes(&proof), buffer_bytes(&note), out));
    buffer_release(&proof);
    buffer_release(&note);
}
