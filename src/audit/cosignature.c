/* cosignature.c: making and checking cosignatures, counting them against a policy, and the request
 * for one (cosignature.h has the grammar).
 *
 * The message does not hold the witness's name, so one key pair is one witness. Lines by keys that
 * are not asked about are passed over; a line by one that is must be good, as in every note.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/cosignature.h"

#include "base/text.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

enum { MESSAGE_BYTES_MAX = 64 + AUDIT_CHECKPOINT_BYTES_MAX };

static void message_append(struct bytes text, uint64_t time_s, struct buffer *out)
{
    buffer_printf(out, "cosignature/v1\ntime %" PRIu64 "\n", time_s);
    buffer_append_bytes(out, text);
}

bool audit_cosign(struct bytes text, uint64_t time_s, const struct audit_key *key,
                  const struct crypto_signer *signer, struct buffer *out, struct err *err)
{
    uint8_t value[AUDIT_COSIGNATURE_BYTES];
    struct buffer message;
    bool ok = false;
    assert(key->type == AUDIT_KEY_TYPE_COSIGNATURE);
    assert(time_s > 0 && time_s <= INT64_MAX);
    buffer_init(&message, MESSAGE_BYTES_MAX);
    message_append(text, time_s, &message);
    if (message.failed) {
        err_set(err, ERR_NO_MEMORY, "no memory for a cosignature");
        goto out;
    }
    for (unsigned i = 0; i < 8; i++) {
        value[i] = (uint8_t)(time_s >> (56 - 8 * i));
    }
    if (!audit_sign(buffer_bytes(&message), key, signer, value + 8)) {
        err_set(err, ERR_CRYPTO, "the checkpoint could not be cosigned");
        goto out;
    }
    audit_signature_append(key, bytes_of(value, sizeof(value)), out);
    ok = !out->failed || err_set(err, ERR_NO_MEMORY, "no memory for a cosignature");
out:
    buffer_release(&message);
    return ok;
}

bool audit_cosigner_parse(struct bytes vkey, struct audit_key *out, struct err *err)
{
    return audit_key_parse_typed(vkey, AUDIT_KEY_TYPE_COSIGNATURE, out, err);
}

/* *time_s is 0 for a tree that was perhaps not the largest: such a statement is none of ours. */
static bool cosignature_holds(const struct audit_signature *signature, struct bytes text,
                              const struct audit_key *key, uint64_t *time_s)
{
    struct buffer message;
    uint64_t time = 0;
    if (signature->value_size != AUDIT_COSIGNATURE_BYTES) {
        return false;
    }
    for (unsigned i = 0; i < 8; i++) {
        time = time << 8 | signature->value[i];
    }
    if (time == 0 || time > INT64_MAX) {
        return false;
    }
    buffer_init(&message, MESSAGE_BYTES_MAX);
    message_append(text, time, &message);
    bool holds = !message.failed &&
                 crypto_verify(CRYPTO_ED25519, bytes_of(key->public_key, sizeof(key->public_key)),
                               buffer_bytes(&message),
                               bytes_of(signature->value + 8, CRYPTO_ED25519_SIGNATURE_BYTES));
    buffer_release(&message);
    *time_s = time;
    return holds;
}

enum audit_verdict audit_cosignature_verify(struct bytes note, const struct audit_key *cosigner,
                                            uint64_t *time_s)
{
    struct bytes text;
    struct bytes lines;
    struct audit_signature signature;
    uint64_t latest = 0;
    bool refuted = false;
    if (note.size > AUDIT_CHECKPOINT_BYTES_MAX || !audit_note_split(note, &text, &lines)) {
        return AUDIT_TAMPERED;
    }
    for (size_t count = 0; lines.size > 0; count++) {
        uint64_t time = 0;
        if (count == AUDIT_SIGNATURE_LINES_MAX || !audit_signature_take(&lines, &signature)) {
            return AUDIT_TAMPERED;
        }
        if (!audit_signature_is_by(&signature, cosigner)) {
            continue;
        }
        if (!cosignature_holds(&signature, text, cosigner, &time)) {
            refuted = true;
        } else if (time > latest) {
            latest = time;
        }
    }
    if (refuted) {
        return AUDIT_TAMPERED;
    }
    if (latest == 0) {
        return AUDIT_UNVERIFIABLE;
    }
    *time_s = latest;
    return AUDIT_OK;
}

enum audit_verdict audit_cosignature_add(struct bytes lines, const struct audit_key *cosigner,
                                         struct buffer *note)
{
    struct audit_signature signature;
    struct bytes text;
    struct bytes before;
    uint64_t time_s = 0;
    bool ok = audit_note_split(buffer_bytes(note), &text, &before);
    for (size_t count = 0; ok && lines.size > 0; count++) {
        struct bytes line = lines;
        if (count == AUDIT_SIGNATURE_LINES_MAX || !audit_signature_take(&lines, &signature)) {
            return AUDIT_TAMPERED;
        }
        line.size -= lines.size;
        if (!audit_signature_is_by(&signature, cosigner)) {
            continue;
        }
        if (!cosignature_holds(&signature, text, cosigner, &time_s)) {
            return AUDIT_TAMPERED;
        }
        buffer_append_bytes(note, line);
        return note->failed ? AUDIT_UNVERIFIABLE : AUDIT_OK;
    }
    return ok ? AUDIT_UNVERIFIABLE : AUDIT_TAMPERED;
}

enum audit_verdict audit_policy_check(const struct audit_policy *policy, struct bytes note,
                                      size_t *cosigned)
{
    size_t good = 0;
    bool refuted = false;
    for (size_t i = 0; i < policy->count; i++) {
        uint64_t time_s = 0;
        enum audit_verdict verdict = audit_cosignature_verify(note, &policy->cosigners[i], &time_s);
        good += verdict == AUDIT_OK;
        refuted = refuted || verdict == AUDIT_TAMPERED;
    }
    *cosigned = good;
    if (refuted) {
        return AUDIT_TAMPERED;
    }
    return good >= policy->threshold ? AUDIT_OK : AUDIT_UNVERIFIABLE;
}

/* ---- the request ---- */

bool audit_add_checkpoint_format(uint64_t old_size, struct bytes proof, struct bytes note,
                                 struct buffer *out)
{
    assert(proof.size % AUDIT_HASH_BYTES == 0);
    buffer_printf(out, "old %" PRIu64 "\n", old_size);
    for (size_t i = 0; i < proof.size; i += AUDIT_HASH_BYTES) {
        audit_hash_append(out, proof.ptr + i);
    }
    buffer_append_u8(out, '\n');
    buffer_append_bytes(out, note);
    return !out->failed;
}

bool audit_add_checkpoint_parse(struct bytes body, struct audit_add_checkpoint *out)
{
    static const char old[] = "old ";
    const size_t old_chars = sizeof(old) - 1;
    struct bytes line;
    if (!audit_line_take(&body, &line) || line.size < old_chars ||
        memcmp(line.ptr, old, old_chars) != 0 ||
        !text_u64_decode((const char *)line.ptr + old_chars, line.size - old_chars,
                         &out->old_size)) {
        return false;
    }
    for (out->hash_count = 0;; out->hash_count++) {
        if (!audit_line_take(&body, &line)) {
            return false;
        }
        if (line.size == 0) {
            break;
        }
        if (out->hash_count == AUDIT_CONSISTENCY_HASHES_MAX ||
            !audit_hash_decode(line, out->proof + out->hash_count * AUDIT_HASH_BYTES)) {
            return false;
        }
    }
    out->note = body;
    return true;
}
