/* note.h: the texts that leave the log: C2SP signed notes, checkpoints, verifier keys, tlog-proofs.
 *
 *     note        = text ending in LF, LF, signature lines
 *     signature   = U+2014 SP key-name SP base64(key-id[4] || signature) LF
 *     key-id      = SHA-256(key-name || LF || 0x01 || public-key)[:4]
 *     vkey        = key-name "+" hex(key-id) "+" base64(0x01 || public-key)
 *     checkpoint  = note whose text is: origin LF, size LF, base64(root) LF, extension lines
 *     tlog-proof  = "c2sp.org/tlog-proof@v1" LF, ["extra" SP base64 LF], "index" SP decimal LF,
 *                   base64(hash) LF each, LF, checkpoint
 *
 * Specifications: c2sp.org/signed-note, tlog-checkpoint, tlog-proof. Parsers are strict: what they
 * accept has one spelling.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AUDIT_NOTE_H
#define AUDIT_NOTE_H

#include "audit/audit.h"

enum {
    AUDIT_KEY_TYPE_ED25519 = 0x01,
    AUDIT_KEY_TYPE_COSIGNATURE = 0x04, /* of a witness: cosignature.h */
    /* The header, 64 lines of 45 characters, the checkpoint. */
    AUDIT_TLOG_PROOF_BYTES_MAX = 64 + 64 * 45 + AUDIT_CHECKPOINT_BYTES_MAX,
    AUDIT_SIGNATURE_LINES_MAX = 64,          /* the specification demands at least 16 */
    AUDIT_SIGNATURE_BASE64_CHARS_MAX = 4096, /* of other people's algorithms, too */
};

/* Key names and origins: UTF-8, not empty, at most AUDIT_ORIGIN_CHARS_MAX bytes, no control
 * characters, no Unicode spaces, no '+'. */
bool audit_name_is_valid(struct bytes name);

/* name must be valid. */
void audit_key_init(struct audit_key *key, const char *name,
                    const uint8_t public_key[static CRYPTO_ED25519_PUBLIC_BYTES]);
/* FORMAT unless it is an Ed25519 vkey whose id fits. */
bool audit_key_parse(struct bytes vkey, struct audit_key *out, struct err *err) MUST_CHECK;
/* The same for keys of that type. */
void audit_key_init_typed(struct audit_key *key, uint8_t type, const char *name,
                          const uint8_t public_key[static CRYPTO_ED25519_PUBLIC_BYTES]);
bool audit_key_parse_typed(struct bytes vkey, uint8_t type, struct audit_key *out,
                           struct err *err) MUST_CHECK;
void audit_key_format(const struct audit_key *key, char out[static AUDIT_VKEY_CHARS_MAX + 1]);

struct audit_signature { /* a line */
    struct bytes name;   /* borrowed from it */
    uint8_t id[AUDIT_KEY_ID_BYTES];
    uint8_t value[AUDIT_SIGNATURE_BASE64_CHARS_MAX / 4 * 3];
    size_t value_size; /* > 0 */
};

/* The text with its last LF, and the signature lines: at least one, each ending in LF. False for a
 * bad form. */
bool audit_note_split(struct bytes note, struct bytes *text, struct bytes *lines) MUST_CHECK;
/* Takes a signature line off the front. False for a bad form. */
bool audit_signature_take(struct bytes *lines, struct audit_signature *out) MUST_CHECK;
bool audit_signature_is_by(const struct audit_signature *signature, const struct audit_key *key);
/* Appends a line; value: the signature behind the key id. */
void audit_signature_append(const struct audit_key *key, struct bytes value, struct buffer *out);

/* TAMPERED for a bad form or a bad signature by this key, UNVERIFIABLE if it signed nothing; *text
 * (borrowed from note) is set unless the form is bad. */
enum audit_verdict audit_note_verify(struct bytes note, const struct audit_key *key,
                                     struct bytes *text);
/* Signs `text` with the private key that belongs to `key`. False also for a signature that does not
 * verify: a fault made it, and published it would be so for ever and could give the key away. */
bool audit_sign(struct bytes text, const struct audit_key *key, const struct crypto_signer *signer,
                uint8_t out[static CRYPTO_ED25519_SIGNATURE_BYTES]) MUST_CHECK;
/* Appends the note of `text` (which ends in LF) with one signature. */
bool audit_note_sign(struct bytes text, const struct audit_key *key,
                     const struct crypto_signer *signer, struct buffer *out,
                     struct err *err) MUST_CHECK;

/* Takes a line off the front; *line is without its LF. */
bool audit_line_take(struct bytes *left, struct bytes *line) MUST_CHECK;
/* A hash as a line of base64. */
bool audit_hash_decode(struct bytes line, uint8_t out[static AUDIT_HASH_BYTES]) MUST_CHECK;
void audit_hash_append(struct buffer *out, const uint8_t hash[static AUDIT_HASH_BYTES]);

bool audit_checkpoint_parse(struct bytes text, struct audit_checkpoint *out) MUST_CHECK;
void audit_checkpoint_format(const struct audit_checkpoint *checkpoint, struct buffer *out);
/* audit_checkpoint_verify with a key that is parsed already. */
enum audit_verdict audit_checkpoint_open(struct bytes note, const struct audit_key *key,
                                         struct audit_checkpoint *out);

void audit_tlog_proof_format(uint64_t index, const uint8_t *proof, size_t hash_count,
                             struct bytes checkpoint, struct buffer *out);

#endif
