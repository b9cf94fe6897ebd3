/* note.c: signed notes and verifier keys (note.h has the grammar).
 *
 * A verifier ignores signatures by keys that it does not know, even under a known name; a signature
 * by the known name and id must be good, or the whole note is bad.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/note.h"

#include "base/text.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum {
    SIGNATURE_LINES_MAX = 64,          /* the specification demands at least 16 */
    SIGNATURE_BASE64_CHARS_MAX = 2048, /* of other people's algorithms, too */
};

static const char signature_prefix[] = "\xe2\x80\x94 "; /* U+2014 and a space */

/* Unicode's White_Space beyond ASCII, in UTF-8. */
static bool contains_unicode_space(struct bytes name)
{
    static const char *const spaces[] = {
        "\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x81",
        "\xe2\x80\x82", "\xe2\x80\x83", "\xe2\x80\x84", "\xe2\x80\x85", "\xe2\x80\x86",
        "\xe2\x80\x87", "\xe2\x80\x88", "\xe2\x80\x89", "\xe2\x80\x8a", "\xe2\x80\xa8",
        "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80",
    };
    for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++) {
        if (memmem(name.ptr, name.size, spaces[i], strlen(spaces[i])) != NULL) {
            return true;
        }
    }
    return false;
}

bool audit_name_is_valid(struct bytes name)
{
    if (name.size == 0 || name.size > AUDIT_ORIGIN_CHARS_MAX || !text_is_utf8(name)) {
        return false;
    }
    for (size_t i = 0; i < name.size; i++) {
        if (name.ptr[i] <= ' ' || name.ptr[i] == '+' || name.ptr[i] == 0x7f) {
            return false;
        }
    }
    return !contains_unicode_space(name);
}

void audit_key_init(struct audit_key *key, const char *name,
                    const uint8_t public_key[static CRYPTO_ED25519_PUBLIC_BYTES])
{
    static const uint8_t separator[2] = {'\n', AUDIT_KEY_TYPE_ED25519};
    uint8_t hash[CRYPTO_SHA256_BYTES];
    const struct bytes parts[] = {
        bytes_of_string(name),
        bytes_of(separator, sizeof(separator)),
        bytes_of(public_key, CRYPTO_ED25519_PUBLIC_BYTES),
    };
    assert(audit_name_is_valid(parts[0]));
    crypto_sha256_parts(parts, 3, hash);
    memcpy(key->name, name, strlen(name) + 1);
    memcpy(key->id, hash, sizeof(key->id));
    memcpy(key->public_key, public_key, sizeof(key->public_key));
}

void audit_key_format(const struct audit_key *key, char out[static AUDIT_VKEY_CHARS_MAX + 1])
{
    uint8_t typed[1 + CRYPTO_ED25519_PUBLIC_BYTES] = {AUDIT_KEY_TYPE_ED25519};
    char id[2 * AUDIT_KEY_ID_BYTES + 1];
    char encoded[44 + 1];
    memcpy(typed + 1, key->public_key, sizeof(key->public_key));
    text_hex_encode(bytes_of(key->id, sizeof(key->id)), id);
    text_base64_encode(bytes_of(typed, sizeof(typed)), encoded);
    (void)snprintf(out, AUDIT_VKEY_CHARS_MAX + 1, "%s+%s+%s", key->name, id, encoded);
}

bool audit_key_parse(struct bytes vkey, struct audit_key *out, struct err *err)
{
    uint8_t typed[AUDIT_VKEY_CHARS_MAX];
    size_t typed_size = 0;
    char name[AUDIT_ORIGIN_CHARS_MAX + 1];
    uint8_t id[AUDIT_KEY_ID_BYTES];
    struct audit_key key;
    const char *text = (const char *)vkey.ptr;
    if (vkey.size == 0 || vkey.size > AUDIT_VKEY_CHARS_MAX) {
        return err_set(err, ERR_FORMAT, "a verifier key is name+id+key");
    }
    const char *plus = memchr(text, '+', vkey.size);
    size_t name_size = plus == NULL ? 0 : (size_t)(plus - text);
    if (plus == NULL || vkey.size - name_size < 1 + 8 + 1 || plus[9] != '+' ||
        !audit_name_is_valid(bytes_of(text, name_size)) ||
        !text_hex_decode(plus + 1, 8, id, sizeof(id))) {
        return err_set(err, ERR_FORMAT, "a verifier key is name+id+key");
    }
    if (!text_base64_decode(plus + 10, vkey.size - name_size - 10, typed, &typed_size) ||
        typed_size != 1 + CRYPTO_ED25519_PUBLIC_BYTES || typed[0] != AUDIT_KEY_TYPE_ED25519) {
        return err_set(err, ERR_FORMAT, "the verifier key is not an Ed25519 key");
    }
    memcpy(name, text, name_size);
    name[name_size] = '\0';
    audit_key_init(&key, name, typed + 1);
    if (memcmp(key.id, id, sizeof(id)) != 0) {
        return err_set(err, ERR_FORMAT, "the verifier key's id does not fit name and key");
    }
    *out = key;
    return true;
}

/* The signatures begin after the last empty line. */
static bool note_split(struct bytes note, struct bytes *text, struct bytes *signatures)
{
    if (note.size < 2 || note.ptr[note.size - 1] != '\n') {
        return false;
    }
    for (size_t i = note.size - 1; i > 0; i--) {
        if (note.ptr[i] == '\n' && note.ptr[i - 1] == '\n') {
            *text = bytes_of(note.ptr, i);
            *signatures = bytes_of(note.ptr + i + 1, note.size - i - 1);
            return signatures->size > 0;
        }
    }
    return false;
}

static bool note_characters_are_valid(struct bytes note)
{
    for (size_t i = 0; i < note.size; i++) {
        if (note.ptr[i] < ' ' && note.ptr[i] != '\n') {
            return false;
        }
    }
    return text_is_utf8(note);
}

/* line without its LF. *known tells whether it is the key's; then *good whether it holds. False for
 * a bad form. */
static bool signature_check(struct bytes line, struct bytes text, const struct audit_key *key,
                            bool *known, bool *good)
{
    uint8_t decoded[SIGNATURE_BASE64_CHARS_MAX / 4 * 3];
    size_t decoded_size = 0;
    const size_t prefix_size = sizeof(signature_prefix) - 1;
    if (line.size < prefix_size || memcmp(line.ptr, signature_prefix, prefix_size) != 0) {
        return false;
    }
    const uint8_t *name = line.ptr + prefix_size;
    const uint8_t *space = memchr(name, ' ', line.size - prefix_size);
    if (space == NULL || !audit_name_is_valid(bytes_of(name, (size_t)(space - name)))) {
        return false;
    }
    const char *encoded = (const char *)space + 1;
    size_t encoded_size = (size_t)(line.ptr + line.size - space) - 1;
    if (encoded_size > SIGNATURE_BASE64_CHARS_MAX ||
        !text_base64_decode(encoded, encoded_size, decoded, &decoded_size) ||
        decoded_size <= AUDIT_KEY_ID_BYTES) {
        return false;
    }
    *known = bytes_equal(bytes_of(name, (size_t)(space - name)), bytes_of_string(key->name)) &&
             memcmp(decoded, key->id, AUDIT_KEY_ID_BYTES) == 0;
    *good = *known && decoded_size == AUDIT_KEY_ID_BYTES + CRYPTO_ED25519_SIGNATURE_BYTES &&
            crypto_verify(CRYPTO_ED25519, bytes_of(key->public_key, sizeof(key->public_key)), text,
                          bytes_of(decoded + AUDIT_KEY_ID_BYTES, CRYPTO_ED25519_SIGNATURE_BYTES));
    return true;
}

enum audit_verdict audit_note_verify(struct bytes note, const struct audit_key *key,
                                     struct bytes *text)
{
    struct bytes body;
    struct bytes left;
    bool verified = false;
    bool refuted = false;
    if (!note_characters_are_valid(note) || !note_split(note, &body, &left)) {
        return AUDIT_TAMPERED;
    }
    for (size_t line_count = 0; left.size > 0; line_count++) {
        bool known = false;
        bool good = false;
        const uint8_t *end = memchr(left.ptr, '\n', left.size);
        assert(end != NULL); /* the note ends in one */
        size_t line_size = (size_t)(end - left.ptr);
        if (line_count == SIGNATURE_LINES_MAX ||
            !signature_check(bytes_of(left.ptr, line_size), body, key, &known, &good)) {
            return AUDIT_TAMPERED;
        }
        verified = verified || good;
        refuted = refuted || (known && !good);
        left = bytes_of(end + 1, left.size - line_size - 1);
    }
    *text = body;
    if (refuted) {
        return AUDIT_TAMPERED;
    }
    return verified ? AUDIT_OK : AUDIT_UNVERIFIABLE;
}

bool audit_note_sign(struct bytes text, const struct audit_key *key,
                     const struct crypto_signer *signer, struct buffer *out, struct err *err)
{
    uint8_t payload[AUDIT_KEY_ID_BYTES + CRYPTO_SIGNATURE_BYTES_MAX];
    char encoded[(AUDIT_KEY_ID_BYTES + CRYPTO_SIGNATURE_BYTES_MAX + 2) / 3 * 4 + 1];
    size_t size = 0;
    assert(text.size > 0 && text.ptr[text.size - 1] == '\n');
    if (!crypto_signer_sign(signer, text, payload + AUDIT_KEY_ID_BYTES, &size) ||
        size != CRYPTO_ED25519_SIGNATURE_BYTES) {
        return err_set(err, ERR_CRYPTO, "the checkpoint could not be signed");
    }
    /* A signature that a fault made would be published for ever, and could give the key away. */
    if (!crypto_verify(CRYPTO_ED25519, bytes_of(key->public_key, sizeof(key->public_key)), text,
                       bytes_of(payload + AUDIT_KEY_ID_BYTES, size))) {
        return err_set(err, ERR_CRYPTO, "the checkpoint's fresh signature does not verify");
    }
    memcpy(payload, key->id, AUDIT_KEY_ID_BYTES);
    text_base64_encode(bytes_of(payload, AUDIT_KEY_ID_BYTES + size), encoded);
    buffer_append_bytes(out, text);
    buffer_append_string(out, "\n");
    buffer_append_string(out, signature_prefix);
    buffer_append_string(out, key->name);
    buffer_append_string(out, " ");
    buffer_append_string(out, encoded);
    buffer_append_string(out, "\n");
    if (out->failed) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the checkpoint");
    }
    return true;
}
