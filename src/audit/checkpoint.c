/* checkpoint.c: what the notes say: checkpoints, and the tlog-proofs that carry one (note.h has the
 * grammar).
 *
 * Origin and key name are the same text in our logs, and a verifier insists on it: a key speaks for
 * one log.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/note.h"

#include "audit/tree.h"
#include "base/text.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

enum { HASH_BASE64_CHARS = 44 };

static const char proof_header[] = "c2sp.org/tlog-proof@v1";

const char *audit_verdict_name(enum audit_verdict verdict)
{
    static const char *const names[] = {
        [AUDIT_OK] = "OK",
        [AUDIT_PENDING] = "PENDING",
        [AUDIT_PRUNED] = "PRUNED",
        [AUDIT_NOT_FOUND] = "NOT_FOUND",
        [AUDIT_TAMPERED] = "TAMPERED",
        [AUDIT_TRUNCATED] = "TRUNCATED",
        [AUDIT_ROLLED_BACK] = "ROLLED_BACK",
        [AUDIT_FORKED] = "FORKED",
        [AUDIT_UNVERIFIABLE] = "UNVERIFIABLE",
    };
    assert((size_t)verdict < sizeof(names) / sizeof(names[0]));
    return names[verdict];
}

bool audit_line_take(struct bytes *left, struct bytes *line)
{
    const uint8_t *end = left->size == 0 ? NULL : memchr(left->ptr, '\n', left->size);
    if (end == NULL) {
        return false;
    }
    *line = bytes_of(left->ptr, (size_t)(end - left->ptr));
    *left = bytes_of(end + 1, left->size - line->size - 1);
    return true;
}

static bool line_starts_with(struct bytes line, const char *prefix)
{
    size_t size = strlen(prefix);
    return line.size >= size && memcmp(line.ptr, prefix, size) == 0;
}

bool audit_hash_decode(struct bytes line, uint8_t out[static AUDIT_HASH_BYTES])
{
    uint8_t decoded[HASH_BASE64_CHARS / 4 * 3];
    size_t size = 0;
    if (line.size != HASH_BASE64_CHARS ||
        !text_base64_decode((const char *)line.ptr, line.size, decoded, &size) ||
        size != AUDIT_HASH_BYTES) {
        return false;
    }
    memcpy(out, decoded, AUDIT_HASH_BYTES);
    return true;
}

void audit_hash_append(struct buffer *out, const uint8_t hash[static AUDIT_HASH_BYTES])
{
    char encoded[HASH_BASE64_CHARS + 1];
    text_base64_encode(bytes_of(hash, AUDIT_HASH_BYTES), encoded);
    buffer_append(out, encoded, HASH_BASE64_CHARS);
    buffer_append_u8(out, '\n');
}

bool audit_checkpoint_parse(struct bytes text, struct audit_checkpoint *out)
{
    struct audit_checkpoint parsed = {0};
    struct bytes origin;
    struct bytes size;
    struct bytes root;
    struct bytes extension;
    if (!audit_line_take(&text, &origin) || !audit_line_take(&text, &size) ||
        !audit_line_take(&text, &root) || !audit_name_is_valid(origin) ||
        !text_u64_decode((const char *)size.ptr, size.size, &parsed.size) ||
        !audit_hash_decode(root, parsed.root)) {
        return false;
    }
    while (text.size > 0) {
        if (!audit_line_take(&text, &extension) || extension.size == 0) {
            return false;
        }
    }
    memcpy(parsed.origin, origin.ptr, origin.size);
    *out = parsed;
    return true;
}

void audit_checkpoint_format(const struct audit_checkpoint *checkpoint, struct buffer *out)
{
    buffer_printf(out, "%s\n%" PRIu64 "\n", checkpoint->origin, checkpoint->size);
    audit_hash_append(out, checkpoint->root);
}

enum audit_verdict audit_checkpoint_open(struct bytes note, const struct audit_key *key,
                                         struct audit_checkpoint *out)
{
    struct audit_checkpoint parsed;
    struct bytes text;
    if (note.size > AUDIT_CHECKPOINT_BYTES_MAX) {
        return AUDIT_TAMPERED;
    }
    enum audit_verdict verdict = audit_note_verify(note, key, &text);
    if (verdict == AUDIT_TAMPERED || !audit_checkpoint_parse(text, &parsed)) {
        return AUDIT_TAMPERED;
    }
    if (verdict == AUDIT_OK && strcmp(parsed.origin, key->name) != 0) {
        return AUDIT_TAMPERED;
    }
    *out = parsed;
    return verdict;
}

/* A key that fits no signature, for a vkey that is none: everything is then UNVERIFIABLE at best.
 * No name is empty, so none equals this one's. */
static void key_from_vkey(const char *vkey, struct audit_key *key)
{
    struct err ignored;
    if (!audit_key_parse(bytes_of_string(vkey), key, &ignored)) {
        memset(key, 0, sizeof(*key));
    }
}

enum audit_verdict audit_checkpoint_verify(struct bytes note, const char *vkey,
                                           struct audit_checkpoint *out)
{
    struct audit_key key;
    key_from_vkey(vkey, &key);
    return audit_checkpoint_open(note, &key, out);
}

void audit_tlog_proof_format(uint64_t index, const uint8_t *proof, size_t hash_count,
                             struct bytes checkpoint, struct buffer *out)
{
    buffer_printf(out, "%s\nindex %" PRIu64 "\n", proof_header, index);
    for (size_t i = 0; i < hash_count; i++) {
        audit_hash_append(out, proof + i * AUDIT_HASH_BYTES);
    }
    buffer_append_string(out, "\n");
    buffer_append_bytes(out, checkpoint);
}

struct parsed_proof {
    uint64_t index;
    uint8_t hashes[AUDIT_PROOF_HASHES_MAX * AUDIT_HASH_BYTES];
    size_t hash_count;
    struct bytes checkpoint;
};

/* The opaque extra data must be well-formed; it is not authenticated and not used. */
static bool extra_is_valid(struct bytes line)
{
    uint8_t decoded[AUDIT_CHECKPOINT_BYTES_MAX];
    size_t decoded_size = 0;
    struct bytes encoded = bytes_of(line.ptr + 6, line.size - 6);
    return encoded.size / 4 * 3 <= sizeof(decoded) &&
           text_base64_decode((const char *)encoded.ptr, encoded.size, decoded, &decoded_size);
}

static bool tlog_proof_parse(struct bytes text, struct parsed_proof *out)
{
    struct bytes line;
    if (!audit_line_take(&text, &line) || !bytes_equal(line, bytes_of_string(proof_header)) ||
        !audit_line_take(&text, &line)) {
        return false;
    }
    if (line_starts_with(line, "extra ")) {
        if (!extra_is_valid(line) || !audit_line_take(&text, &line)) {
            return false;
        }
    }
    if (!line_starts_with(line, "index ") ||
        !text_u64_decode((const char *)line.ptr + 6, line.size - 6, &out->index)) {
        return false;
    }
    for (out->hash_count = 0;; out->hash_count++) {
        if (!audit_line_take(&text, &line)) {
            return false;
        }
        if (line.size == 0) {
            break;
        }
        if (out->hash_count == AUDIT_PROOF_HASHES_MAX ||
            !audit_hash_decode(line, out->hashes + out->hash_count * AUDIT_HASH_BYTES)) {
            return false;
        }
    }
    out->checkpoint = text;
    return true;
}

bool audit_tlog_proof_open(struct bytes proof, const uint8_t leaf_hash[static AUDIT_HASH_BYTES],
                           uint64_t *index, struct bytes *note)
{
    struct parsed_proof parsed;
    struct audit_checkpoint checkpoint;
    if (!tlog_proof_parse(proof, &parsed) ||
        audit_checkpoint_verify(parsed.checkpoint, "", &checkpoint) == AUDIT_TAMPERED ||
        !audit_inclusion_verify(parsed.index, checkpoint.size, leaf_hash, parsed.hashes,
                                parsed.hash_count, checkpoint.root)) {
        return false;
    }
    *index = parsed.index;
    *note = parsed.checkpoint;
    return true;
}

enum audit_verdict audit_tlog_proof_verify(struct bytes proof, const char *vkey,
                                           const uint8_t leaf_hash[static AUDIT_HASH_BYTES],
                                           uint64_t *index, struct audit_checkpoint *out)
{
    struct bytes note;
    uint64_t found = 0;
    if (!audit_tlog_proof_open(proof, leaf_hash, &found, &note)) {
        return AUDIT_TAMPERED;
    }
    enum audit_verdict verdict = audit_checkpoint_verify(note, vkey, out);
    if (verdict != AUDIT_TAMPERED) {
        *index = found;
    }
    return verdict;
}
