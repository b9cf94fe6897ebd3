/* batch.c: fresh proofs: one report for many nonces. See attest.h.
 *
 *     leaf   = "wasm-hypervisor/1 batch nonce" || 0x00 || nonce        hashed as RFC 6962 says
 *     report = SHA-512("wasm-hypervisor/1 batch" || 0x00 || epoch digest (64 bytes)
 *                      || size (8 bytes, big endian) || root (32 bytes))
 *
 * The root stands in the evidence beside the path to it, so that a wrong path and a report about
 * something else are told apart, and so that the report can be checked without any tree.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/inspection.h"

#include "audit/audit.h"
#include "base/json.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#define NONCE_DOMAIN "wasm-hypervisor/1 batch nonce"
#define BATCH_DOMAIN "wasm-hypervisor/1 batch"

static_assert((int)ATTEST_BATCH_PATH_HASHES_MAX == (int)AUDIT_MEMORY_PROOF_HASHES_MAX &&
                  (int)ATTEST_BATCH_NONCES_MAX == (int)AUDIT_MEMORY_LEAVES_MAX &&
                  (int)CRYPTO_SHA256_BYTES == (int)AUDIT_HASH_BYTES,
              "a batch is a tree in memory");

void attest_batch_leaf(struct bytes nonce, uint8_t out[static CRYPTO_SHA256_BYTES])
{
    uint8_t leaf[sizeof NONCE_DOMAIN + ATTEST_NONCE_BYTES_MAX] = NONCE_DOMAIN; /* with its 0x00 */
    assert(nonce.size <= ATTEST_NONCE_BYTES_MAX);
    memcpy(leaf + sizeof NONCE_DOMAIN, nonce.ptr, nonce.size);
    audit_leaf_hash(bytes_of(leaf, sizeof NONCE_DOMAIN + nonce.size), out);
}

void attest_batch_user_data(const uint8_t epoch_digest[static ATTEST_EPOCH_DIGEST_BYTES],
                            uint64_t size, const uint8_t root[static CRYPTO_SHA256_BYTES],
                            uint8_t out[static ATTEST_USER_DATA_BYTES])
{
    uint8_t text[sizeof BATCH_DOMAIN + ATTEST_EPOCH_DIGEST_BYTES + 8 + CRYPTO_SHA256_BYTES] =
        BATCH_DOMAIN;
    uint8_t *at = text + sizeof BATCH_DOMAIN;
    memcpy(at, epoch_digest, ATTEST_EPOCH_DIGEST_BYTES);
    at += ATTEST_EPOCH_DIGEST_BYTES;
    for (unsigned i = 0; i < 8; i++) {
        *at++ = (uint8_t)(size >> (56 - 8 * i));
    }
    memcpy(at, root, CRYPTO_SHA256_BYTES);
    crypto_sha512(bytes_of(text, sizeof text), out);
}

void attest_batch_put(const struct attest_batch *batch, struct buffer *out)
{
    char hex[2 * CRYPTO_SHA256_BYTES + 1];
    json_put_name(out, "batch");
    json_put_open(out);
    json_put_base64(out, "nonce", batch->nonce);
    json_put_integer(out, "index", (int64_t)batch->index);
    json_put_integer(out, "size", (int64_t)batch->size);
    json_put_hex(out, "root", bytes_of(batch->root, sizeof batch->root));
    json_put_name(out, "path");
    buffer_append_string(out, "[");
    for (size_t i = 0; i < batch->path_count; i++) {
        text_hex_encode(bytes_of(batch->path + i * CRYPTO_SHA256_BYTES, CRYPTO_SHA256_BYTES), hex);
        buffer_printf(out, "%s\"%s\"", i == 0 ? "" : ",", hex);
    }
    buffer_append_string(out, "]");
    json_put_close(out);
}

/* ---- Checks ---- */

static bool hash_read(const json_t *member, uint8_t out[static CRYPTO_SHA256_BYTES])
{
    return json_is_string(member) &&
           text_hex_decode(json_string_value(member), json_string_length(member), out,
                           CRYPTO_SHA256_BYTES);
}

static bool place_read(const json_t *batch, struct attest_batch *out)
{
    const json_t *index = json_object_get(batch, "index"), *size = json_object_get(batch, "size");
    if (!json_is_integer(index) || !json_is_integer(size) || json_integer_value(index) < 0 ||
        json_integer_value(size) > ATTEST_BATCH_NONCES_MAX ||
        json_integer_value(index) >= json_integer_value(size)) {
        return false;
    }
    out->index = (uint64_t)json_integer_value(index);
    out->size = (uint64_t)json_integer_value(size);
    return true;
}

static bool path_read(const json_t *path, struct attest_batch *out)
{
    out->path_count = json_array_size(path);
    bool ok = json_is_array(path) && out->path_count <= ATTEST_BATCH_PATH_HASHES_MAX;
    for (size_t i = 0; ok && i < out->path_count; i++) {
        ok = hash_read(json_array_get(path, i), out->path + i * CRYPTO_SHA256_BYTES);
    }
    return ok;
}

bool inspection_batch_format(struct inspection *inspection, struct attest_check *check)
{
    const json_t *batch = json_object_get(inspection->evidence, "batch");
    struct attest_batch *out = &inspection->batch;
    if (batch == NULL) {
        inspection->have |= HAVE_BATCH;
        return inspection_pass_by(check, "the report is the epoch's own, not of a batch");
    }
    const char *problem = NULL;
    if (!inspection_base64(inspection, json_object_get(batch, "nonce"), ATTEST_NONCE_BYTES_MAX,
                           &out->nonce) ||
        out->nonce.size < ATTEST_NONCE_BYTES_MIN) {
        problem = "nonce";
    } else if (!place_read(batch, out)) {
        problem = "index\" or \"size";
    } else if (!hash_read(json_object_get(batch, "root"), out->root)) {
        problem = "root";
    } else if (!path_read(json_object_get(batch, "path"), out)) {
        problem = "path";
    }
    if (problem != NULL) {
        *out = (struct attest_batch){0};
        return inspection_fail(check, "\"%s\" is missing or malformed", problem);
    }
    inspection->has_batch = true;
    inspection->have |= HAVE_BATCH;
    return inspection_pass(check, "every member is there");
}

bool inspection_batch_inclusion(struct inspection *inspection, struct attest_check *check)
{
    const struct attest_batch *batch = &inspection->batch;
    uint8_t leaf[CRYPTO_SHA256_BYTES];
    if (!inspection->has_batch) {
        return inspection_pass_by(check, "there is no batch");
    }
    attest_batch_leaf(batch->nonce, leaf);
    return audit_inclusion_verify(batch->index, batch->size, leaf, batch->path, batch->path_count,
                                  batch->root)
               ? inspection_pass(check, "the nonce is number %" PRIu64 " of %" PRIu64, batch->index,
                                 batch->size)
               : inspection_fail(check, "the path does not lead from the nonce to the root");
}
